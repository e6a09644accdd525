"""Measurements of single ops against transformers."""
