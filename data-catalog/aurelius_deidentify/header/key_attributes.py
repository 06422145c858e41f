"""Key attributes: the top-level attributes that say whose object it is and how its text is encoded."""

from __future__ import annotations

from aurelius_deidentify.data_files import read_rows

CHARACTER_SET, PIXEL_REPRESENTATION = 0x00080005, 0x00280103
PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
REQUIRED = {
    SOP_CLASS: "SOPClassUID",
    SOP_INSTANCE: "SOPInstanceUID",
    STUDY: "StudyInstanceUID",
    SERIES: "SeriesInstanceUID",
}
_ROWS = read_rows(__package__, "identifying_attributes.csv")
#: Attributes whose values the words of descriptors are compared with.
IDENTIFYING = frozenset(int(row["tag"], 16) for row in _ROWS if row["holds"] == "value")
#: Sequences that name the patient, physicians, or orders; and the content of reports.
IDENTIFYING_SEQUENCES = frozenset(int(row["tag"], 16) for row in _ROWS if row["holds"] == "sequence")
#: What a context needs of an element: its bytes, its value only, the words in its items.
KEYED, NAMED, SEQUENCED = 1, 2, 3


def find_role(tag: int) -> int:
    """Return what the context of an object needs of a top-level element; 0 for nothing."""
    if tag in IDENTIFYING or tag in (CHARACTER_SET, PIXEL_REPRESENTATION, STUDY):
        return KEYED
    if tag in IDENTIFYING_SEQUENCES:
        return SEQUENCED
    return NAMED if tag in REQUIRED else 0
