"""Execution of a report notebook in a process of its own."""
