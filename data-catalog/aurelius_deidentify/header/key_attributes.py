"""Which top-level attributes tell whose object it is and how its text is written."""

from __future__ import annotations

CHARACTER_SET, PIXEL_REPRESENTATION = 0x00080005, 0x00280103
PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
REQUIRED = {
    SOP_CLASS: "SOPClassUID",
    SOP_INSTANCE: "SOPInstanceUID",
    STUDY: "StudyInstanceUID",
    SERIES: "SeriesInstanceUID",
}
#: Attributes whose values the words of descriptors are compared with.
TELLING = frozenset(
    [
        0x00080050, 0x00080080, 0x00080081, 0x00080090, 0x00080092, 0x00080094, 0x00081010, 0x00081040, 0x00081048,
        0x00081050, 0x00081060, 0x00081070, 0x00100010, 0x00100020, 0x00100021, 0x00101000, 0x00101001, 0x00101005,
        0x00101040, 0x00101060, 0x00102154, 0x00120040, 0x00181000, 0x00200010, 0x00321032, 0x00321033, 0x00380010,
        0x00400006, 0x00400512, 0x00400253, 0x00401001, 0x00402016, 0x00402017, 0x0040A075, 0x0040A123, 0x00700084,
    ]
)  # fmt: skip
#: Sequences that name the patient, physicians, or orders; and the content of reports.
TELLING_SEQUENCES = frozenset(
    [
        0x00080096, 0x00081049, 0x00081052, 0x00081062, 0x00081072, 0x00101002, 0x00321034, 0x00321064, 0x00400275,
        0x00400560, 0x0040A073, 0x0040A078, 0x0040A730,
    ]
)  # fmt: skip
#: What a context needs of an element: its bytes, its value only, the words in its items.
KEYED, NAMED, SEQUENCED = 1, 2, 3


def find_role(tag: int) -> int:
    """Return what the context of an object needs of a top-level element; 0 for nothing."""
    if tag in TELLING or tag in (CHARACTER_SET, PIXEL_REPRESENTATION, STUDY):
        return KEYED
    if tag in TELLING_SEQUENCES:
        return SEQUENCED
    return NAMED if tag in REQUIRED else 0
