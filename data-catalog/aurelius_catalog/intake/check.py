"""What a header alone tells against storing an object: de-identification of headers is not enough for these."""

from __future__ import annotations

from math import prod

from pydicom import FileDataset
from pydicom.uid import UID, MediaStorageDirectoryStorage, UID_dictionary

#: SOP classes of pictures that usually show the patient's name: secondary captures and ultrasound.
SCREENS = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.3")
DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104"
UNDEFINED_LENGTH = 0xFFFFFFFF


def find_refusal(dataset: FileDataset) -> str | None:
    """Return why an object goes to quarantine, or None where its header tells nothing against it.

    Parameters
    ----------
    dataset
        The object as it came.
    """
    meta_class = str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    SOPClassUID = UID(str(dataset.get("SOPClassUID") or meta_class))
    if SOPClassUID == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in dataset:
        return "A DICOMDIR only lists other files; there is nothing in it to store."
    if _is_below(SOPClassUID, DOCUMENTS) or "EncapsulatedDocument" in dataset:
        return "An encapsulated document: nobody here can read what is in it. A person must decide."
    if SOPClassUID and SOPClassUID.is_private:
        return "A private kind of object: only its maker knows what is in it."
    if UID(str(dataset.file_meta.get("TransferSyntaxUID") or "")) not in UID_dictionary:
        return "The transfer syntax is missing or not known here; nobody could open the object."
    return _find_graphics(dataset, SOPClassUID) or _find_shortage(dataset)


def _find_graphics(dataset: FileDataset, SOPClassUID: UID) -> str | None:
    burned_in = str(dataset.get("BurnedInAnnotation") or "").strip().upper()
    if burned_in == "YES":
        return "Text is burned into the pixels (BurnedInAnnotation is YES). A person must decide."
    if burned_in != "NO" and any(_is_below(SOPClassUID, root) for root in SCREENS):
        return "A screen capture or ultrasound picture that does not say it is free of text. A person must decide."
    for group in range(0x6000, 0x6020, 2):
        if (group, 0x0102) in dataset and (group, 0x3000) not in dataset:
            return "An overlay is hidden in unused bits of the pixels, where it cannot be removed."
    return None


def _find_shortage(dataset: FileDataset) -> str | None:
    """Say so if native pixel data is shorter than rows, columns and frames want (PS3.5 section 8.1.1)."""
    if "PixelData" not in dataset:
        return None
    pixels = dataset.get_item("PixelData")
    if getattr(pixels, "length", None) == UNDEFINED_LENGTH or getattr(pixels, "is_undefined_length", False):
        return None  # encapsulated: its length says nothing about its size
    try:
        bits = prod(int(dataset.get(keyword) or 0) for keyword in ("Rows", "Columns", "BitsAllocated"))
        bits *= int(dataset.get("SamplesPerPixel") or 1) * int(dataset.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        return "The header gives an image size that is not a number."
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    if len(pixels.value or b"") < bits // 8:
        return "The pixel data is shorter than the header says: the file was cut off."
    return None


def _is_below(uid: str, root: str) -> bool:
    return uid == root or uid.startswith(f"{root}.")
