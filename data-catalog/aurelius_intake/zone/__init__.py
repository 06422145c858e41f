"""The identified zone: its folders, its items and the lock on it."""
