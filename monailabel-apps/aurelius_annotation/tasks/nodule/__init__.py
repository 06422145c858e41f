"""Lung nodules by a small network."""
