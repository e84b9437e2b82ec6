"""ONNX Runtime in the place of the accelerator: preprocessing, building, sessions, measuring."""
