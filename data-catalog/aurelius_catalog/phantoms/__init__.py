"""Invented patients: bodies with known lesions, written as the files a scanner would send."""
