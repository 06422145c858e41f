"""Review: what waits for a steward's decision, and its release."""
