"""Slides: their levels, their regions and their tiles, of whatever file they are kept in."""
