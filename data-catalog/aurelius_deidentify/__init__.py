"""De-identification of DICOM objects and slides: bytes in, bytes out.

No settings, no database, no network. `header` rewrites data sets by PS3.15 Annex E (`Deidentifier`, `load_profile`,
`PseudonymKey`), `pixels` finds and masks burned-in text, `slides` cleans whole-slide files, `residue` searches the
result for what should be gone. Names are imported from these four: the package itself imports none of them, because
everyone who needs only its errors would pay for the tables and the decoders.
"""
