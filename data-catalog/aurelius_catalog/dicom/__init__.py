"""DICOM headers, frame locations and decoders."""
