"""The reasons in a header against storing an object, whatever its pixels show."""

from __future__ import annotations

from functools import lru_cache

from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, UID_dictionary

from aurelius_deidentify.pixels.raw_values import read_bytes, read_number
from aurelius_deidentify.slides import is_associated_image

DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104"
MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"
SOP_CLASS, TRANSFER_SYNTAX, DOCUMENT = Tag("SOPClassUID"), Tag("TransferSyntaxUID"), Tag("EncapsulatedDocument")
PHOTOMETRIC = Tag("PhotometricInterpretation")
SIZES = tuple(Tag(keyword) for keyword in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames"))
CUT_OFF = "The pixel data is shorter than the header says: the file was cut off."
#: Tag and length in front of native pixel data take this at least (PS3.5 section 7.1).
LEAST_HEADER_BYTES = 8


def find_refusal(dataset: Dataset, *, pixels: memoryview | bytes | None = None, approved: bool = False) -> str | None:
    """Return why an object goes to quarantine, or None where nothing speaks against it.

    Parameters
    ----------
    dataset
        The identified header, file meta attached.
    pixels
        The pixel data element, where it was left out of the data set; None if it is in there, or if there is none.
    approved
        Whether a person has let the object through: then only what nobody can decide is still refused.
    """
    SOPClassUID = _read_text(dataset, SOP_CLASS)
    if not approved:
        if refusal := _refuse_kind(SOPClassUID):
            return refusal
        if DOCUMENT in dataset.keys():  # noqa: SIM118 - many times faster than asking the data set
            return _refuse_kind(DOCUMENTS)
        if SOPClassUID == MICROSCOPY and is_associated_image(dataset):
            return "A picture of the whole slide, its label included, on which names are written."
    syntax = _read_text(dataset.file_meta, TRANSFER_SYNTAX)
    return _refuse_syntax(syntax) or _find_shortage(dataset, pixels, syntax)


@lru_cache
def _refuse_kind(SOPClassUID: str) -> str | None:
    if SOPClassUID == DOCUMENTS or SOPClassUID.startswith(f"{DOCUMENTS}."):
        return "An encapsulated document: nobody here can read what is in it. A person must decide."
    if SOPClassUID and UID(SOPClassUID).is_private:
        return "A private kind of object: only its maker knows what is in it."
    return None


@lru_cache
def _refuse_syntax(TransferSyntaxUID: str) -> str | None:
    if TransferSyntaxUID not in UID_dictionary:
        return "The transfer syntax is missing or not known here; nobody could open the object."
    return None


@lru_cache
def _is_native(TransferSyntaxUID: str) -> bool:
    return not UID(TransferSyntaxUID).is_encapsulated


def _find_shortage(dataset: Dataset, pixels: memoryview | bytes | None, TransferSyntaxUID: str) -> str | None:
    """Say so if native pixel data is shorter than rows, columns and frames want (PS3.5 section 8.1.1)."""
    if not _is_native(TransferSyntaxUID):
        return None  # its length says nothing about its size
    held = _count_bytes(dataset, pixels)
    if held is None:
        return None
    try:
        rows, columns, allocated, samples, frames = (read_number(dataset, tag) for tag in SIZES)
    except ValueError:
        return "The header gives an image size that is not a number."
    bits = rows * columns * allocated * (samples or 1) * (frames or 1)
    if read_bytes(dataset, PHOTOMETRIC).strip(b"\0 ") == b"YBR_FULL_422":
        bits = bits * 2 // 3
    return CUT_OFF if held < bits // 8 else None


def _count_bytes(dataset: Dataset, pixels: memoryview | bytes | None) -> int | None:
    """Return how many bytes of pixels there are at most; None where nobody can tell, or there are none."""
    if pixels is not None and len(pixels):
        return len(pixels) - LEAST_HEADER_BYTES
    if "PixelData" not in dataset:
        return None
    return len(dataset.get_item("PixelData").value or b"")


def _read_text(dataset: Dataset, tag: int) -> str:
    return read_bytes(dataset, Tag(tag)).decode("ascii", "replace").strip("\0 ")
