"""Widgets: volumes, pictures and slides in a notebook, with labels over them."""
