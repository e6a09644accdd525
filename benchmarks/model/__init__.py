"""Benchmarks of the whole model."""
