"""Ways in: the inbox, C-STORE, STOW-RS, and the pull from a DICOMweb server."""
