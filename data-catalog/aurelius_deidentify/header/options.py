"""The options of PS3.15 section E.3: their names, their codes, and the action each gives a row of the table."""

from __future__ import annotations

from aurelius_deidentify.header.table import Row

#: Options a profile may name. The table has a column for each but the last, which is about pixels.
OPTIONS = (
    "clean_pixel_data",
    "clean_graphics",
    "clean_structured",
    "clean_descriptors",
    "retain_full_dates",
    "retain_modified_dates",
    "retain_patient",
    "retain_device",
    "retain_uids",
    "retain_safe_private",
    "retain_institution",
)
#: Code value and meaning in CID 7050 of PS3.16.
OPTION_CODES = {
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "clean_pixel_data": ("113101", "Clean Pixel Data Option"),
    "clean_graphics": ("113103", "Clean Graphics Option"),
    "clean_structured": ("113104", "Clean Structured Content Option"),
    "clean_descriptors": ("113105", "Clean Descriptors Option"),
    "retain_full_dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "retain_modified_dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain_patient": ("113108", "Retain Patient Characteristics Option"),
    "retain_device": ("113109", "Retain Device Identity Option"),
    "retain_uids": ("113110", "Retain UIDs Option"),
    "retain_safe_private": ("113111", "Retain Safe Private Option"),
    "retain_institution": ("113112", "Retain Institution Identity Option"),
}
#: Options that keep a value as it is come before those that clean it.
RETAINING = ("retain_uids", "retain_device", "retain_institution", "retain_patient")
CLEANING = ("clean_graphics", "clean_structured", "clean_descriptors")
TEMPORAL = ("DA", "DT", "TM")
#: Graphics that are pictures, or numbers without a description, instead of shapes with texts: they are removed.
UNREADABLE = frozenset({"50xxxxxx", "60xx3000", "60xx4000"})


def choose_action(row: Row, VR: str, options: frozenset[str]) -> str | None:
    """Return the action that a profile's options give a row of Table E.1-1, or None where no option covers it.

    Clean Graphics keeps the shapes of graphic annotations and replaces their texts; overlays and curves can show text
    that is not read here, so they are removed as in the Basic Profile.
    """
    if "retain_full_dates" in options and "retain_full_dates" in row.options:
        return "K"
    moved = "retain_modified_dates" in row.options or _would_keep_date(row, VR, options)
    if "retain_modified_dates" in options and moved:
        return "S"
    for option in RETAINING:
        if option in options and option in row.options:
            return row.options[option]
    if row.pattern in UNREADABLE:
        return None
    return "C" if any(option in options and option in row.options for option in CLEANING) else None


def _would_keep_date(row: Row, VR: str, options: frozenset[str]) -> bool:
    """Whether an option that knows nothing of dates would keep this one unmoved."""
    return VR in TEMPORAL and any(option in options and option in row.options for option in RETAINING)
