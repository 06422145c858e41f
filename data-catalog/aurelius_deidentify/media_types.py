"""Media types of the files the catalog holds, and the suffix each has on disk."""

from __future__ import annotations

DICOM = "application/dicom"
MIRAX = "application/x-mirax+zip"
NIFTI = "application/x-nifti"
OME = "image/ome-tiff"
SUFFIXES = {
    DICOM: ".dcm",
    "image/x-aperio-svs": ".svs",
    "image/x-hamamatsu-ndpi": ".ndpi",
    OME: ".ome.tif",
    "image/tiff": ".tif",
    MIRAX: ".mrxs.zip",
    NIFTI: ".nii",
}


def find_suffix(media_type: str) -> str:
    """Return the file name's end for a media type, dot included.

    Raises
    ------
    KeyError
        If the catalog holds no files of this type.
    """
    return SUFFIXES[media_type]


def is_slide(media_type: str) -> bool:
    """Whether a file is a slide that OpenSlide reads."""
    return media_type not in (DICOM, NIFTI)
