"""Benchmarks of hrnetae: ``python -m bench`` runs them all; docs/performance.md says how they measure."""
