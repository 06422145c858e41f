"""The steward's commands."""
