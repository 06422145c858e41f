"""Files that are not DICOM: recognition, NIfTI, pictures, sidecars."""
