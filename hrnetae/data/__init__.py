"""Data that ships with the package: the scenes of the demo (see hrnetae.evaluation.synthetic)."""
