"""The search for identifying values in the bytes of a de-identified file."""
