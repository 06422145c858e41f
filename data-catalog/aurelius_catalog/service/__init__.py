"""The catalog over HTTP: DICOMweb, the house's own JSON, slides, OHIF and shared files."""
