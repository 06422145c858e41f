"""Runs: those that wait, those that are stored, and their export as RO-Crate."""
