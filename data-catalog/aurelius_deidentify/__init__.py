"""De-identification: what in these bytes identifies somebody, and the same bytes without it.

Pure: bytes in, bytes out. No settings, no database, no network. `header` rewrites data sets by PS3.15 Annex E,
`pixels` finds and masks burned-in text, `slides` cleans whole-slide files, `residue` searches the result for what
should be gone.
"""
