"""Segmentation from a few strokes."""
