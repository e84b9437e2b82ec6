"""Scoring: COCO ground truth, results and metrics; drawn test data."""
