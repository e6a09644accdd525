"""Measurements: of ops, and of the whole model."""
