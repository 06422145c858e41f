"""Model tasks, one folder each (annotation environment)."""
