"""DICOM slides: the instances that are pictures of the glass with its label (PS3.3 section C.8.12.4)."""

from __future__ import annotations

import uuid

from pydicom import Dataset

SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
#: Third value of Image Type (PS3.3 section C.8.12.4.1.1) of pictures of the whole glass.
ASSOCIATED_KINDS = frozenset({"LABEL", "OVERVIEW", "LOCALIZER"})


def is_associated_image(dataset: Dataset) -> bool:
    """Whether a whole slide microscopy instance shows, or may show, the label of the slide.

    Labels and overviews always do. Any other image does where it says so (Specimen Label in Image), and a thumbnail
    where it does not say NO.

    Parameters
    ----------
    dataset
        The header as it came.
    """
    if str(dataset.get("SOPClassUID") or "") != SLIDE_CLASS:
        return False
    kinds = {str(value).strip().upper() for value in _listed(dataset.get("ImageType"))}
    label = str(dataset.get("SpecimenLabelInImage") or "").strip().upper()
    return bool(kinds & ASSOCIATED_KINDS) or label == "YES" or ("THUMBNAIL" in kinds and label != "NO")


def make_level_uid(SOPInstanceUID: str, number: int) -> str:
    """Return the UID that DICOMweb knows a level of a slide file by: the same at every time and in every process."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{SOPInstanceUID} level {number}').int}"


def _listed(value: object) -> list[object]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]
