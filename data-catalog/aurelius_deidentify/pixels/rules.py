"""Rules that decide by the header whether pixels hold text: they settle most objects, without decoding.

The attribute BurnedInAnnotation is believed when it says YES and never when it says NO: of the images with names in
them that we know, most say NO or nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pydicom import Dataset
from pydicom.tag import Tag

from aurelius_deidentify.data_files import read_rows
from aurelius_deidentify.pixels.raw_values import read_bytes
from aurelius_deidentify.pixels.verdict import PixelVerdict

STORAGE = "1.2.840.10008.5.1.4.1.1."
_CLASSES = {row["uid"]: row["pixels"] for row in read_rows(__package__, "sop_classes.csv")}
#: SOP classes of labels, doses and parameters: nobody draws text there, whatever ImageType says (PS3.4 annex B.5).
COMPUTED = frozenset(uid for uid, pixels in _CLASSES.items() if pixels == "computed")
#: ... of measured values in space: what a scanner computes, not what a screen shows.
ACQUIRED = COMPUTED | {uid for uid, pixels in _CLASSES.items() if pixels == "acquired"}
#: Tiles of a microscope are coloured and measured all the same; its labels and overviews are refused by name.
COLOURED = f"{STORAGE}77.1.6"
#: Radiographs: measured too, but names are often put into them.
RADIOGRAPHS = tuple(STORAGE + end for end in ("1", "1.", "12."))
ULTRASOUND = frozenset(uid for uid, pixels in _CLASSES.items() if pixels == "ultrasound")
#: Values of ImageType that stand for a picture of a screen or an overview drawn for people (PS3.3 C.7.6.1.1.2).
DRAWN = re.compile(
    r"SCREEN|SCOUT|LOCALIZER|TOPOGRAM|CAPTURE|REPORT|DOSE|VOLREND|PROTOCOL"
    r"|(^|\\) *(SECONDARY|VRT|3D|MOVIE|FILM) *(\\|$)"
)
#: Pages that a console saves beside the images; their descriptions say so.
PAGE = re.compile(
    r"DOSE *(REPORT|INFO|SUMMARY|RECORD)|PATIENT *(PROTOCOL|INFO|DATA)|EXAM *(PROTOCOL|SUMMARY)|REPORT *PAGE"
    r"|SCANNED|DOCUMENT|CONSENT|WORKSHEET|REQUISITION"
)

SOP_CLASS, IMAGE_TYPE, MODALITY = Tag("SOPClassUID"), Tag("ImageType"), Tag("Modality")
SERIES_DESCRIPTION, CONVERSION_TYPE = Tag("SeriesDescription"), Tag("ConversionType")
BURNED_IN, SAMPLES, ROWS = Tag("BurnedInAnnotation"), Tag("SamplesPerPixel"), Tag("Rows")
#: Bit position of an overlay; one whose bits lie within the pixel values has no OverlayData (PS3.3 C.9.2.1).
OVERLAY_BIT_POSITIONS = frozenset(group << 16 | 0x0102 for group in range(0x6000, 0x6020, 2))
NO_PIXELS = PixelVerdict("clean", "There are no pixels.")
ORDINARY = PixelVerdict("clean", "Values measured or computed by a scanner; no sign of drawn text.")
HIDDEN = PixelVerdict("mask", "An overlay is hidden in unused bits of the pixels; they are cleared.")


def judge_header(dataset: Dataset) -> PixelVerdict | None:
    """Return the verdict by the header; None if the pixels must be looked at.

    Parameters
    ----------
    dataset
        The identified header; elements are not decoded, so that it costs some microseconds.
    """
    held = dataset.keys()
    if ROWS not in held:
        return NO_PIXELS
    verdict = _judge_values(
        read_bytes(dataset, SOP_CLASS),
        read_bytes(dataset, IMAGE_TYPE),
        read_bytes(dataset, BURNED_IN),
        read_bytes(dataset, SAMPLES),
        bool(read_bytes(dataset, CONVERSION_TYPE).strip(b"\0 ")),
        read_bytes(dataset, SERIES_DESCRIPTION),
    )
    if verdict is ORDINARY and hides_overlay(dataset):
        return HIDDEN
    return verdict


def hides_overlay(dataset: Dataset) -> bool:
    """Whether an overlay lies in unused bits of the pixel values (PS3.5 section 8.1.1)."""
    return any(position & 0xFFFF0000 | 0x3000 not in dataset for position in dataset.keys() & OVERLAY_BIT_POSITIONS)


def is_ultrasound(dataset: Dataset) -> bool:
    """Whether an object is an ultrasound picture, by class or by modality."""
    return read_bytes(dataset, SOP_CLASS).decode("ascii", "replace").strip("\0 ") in ULTRASOUND or read_bytes(
        dataset, MODALITY
    ).strip(b"\0 ") in (b"US", b"IVUS")


def is_measured(dataset: Dataset) -> bool:
    """Whether pixels are measured values, radiographs included, in which drawn text has one clear value."""
    uid = read_bytes(dataset, SOP_CLASS).decode("ascii", "replace").strip("\0 ")
    return uid in ACQUIRED or uid == RADIOGRAPHS[0] or uid.startswith(RADIOGRAPHS[1:])


def states_burned_in(dataset: Dataset) -> bool:
    """Whether the header itself says that text is burned in."""
    return _says_yes(read_bytes(dataset, BURNED_IN))


@lru_cache(maxsize=4096)  # the same few values, thousands of times over
def _judge_values(
    sop_class: bytes, image_type: bytes, burned_in: bytes, samples: bytes, converted: bool, description: bytes
) -> PixelVerdict | None:
    uid = sop_class.decode("ascii", "replace").strip("\0 ")
    if uid in COMPUTED and not _says_yes(burned_in):
        return ORDINARY
    kind = image_type.decode("latin-1").upper()
    measured = uid == COLOURED or (uid in ACQUIRED and samples in (b"\1\0", b"\0\1", b"1", b""))
    if measured and not converted and not _says_yes(burned_in) and not DRAWN.search(kind):
        return ORDINARY
    if not measured and PAGE.search(description.decode("latin-1").upper()):
        return PixelVerdict("person", "The description says that this is a page of text, not an image.")
    return None


def _says_yes(value: bytes) -> bool:
    return value.strip(b"\0 ").upper() == b"YES"
