"""Withdrawal: everything of a patient removed from every place that keeps something."""
