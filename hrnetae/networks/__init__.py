"""HRNet and HigherHRNet for associative embedding, as torch modules; who neither exports nor trains needs no torch."""
