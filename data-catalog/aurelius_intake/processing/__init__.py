"""Processing: from a study at rest in the inbox to its de-identified files in the catalog."""
