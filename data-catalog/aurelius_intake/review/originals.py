"""Originals in quarantine: what kind of object each is, how it looks, and its way back into the inbox."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.tag import Tag
from pydicom.uid import UID

from aurelius_catalog.durable_files import sync_folder
from aurelius_catalog.errors import InvalidRequest
from aurelius_deidentify.pixels.rendering import count_frames, is_palette, open_pixels, read_frame, to_bytes
from aurelius_deidentify.pixels.rules import OVERLAY_BIT_POSITIONS, hides_overlay

#: Pictures for the release desk are no larger than this, in pixels along either side.
LARGEST_PICTURE = 2048
HEADER = ["SOPClassUID", "Modality", "Rows", "Columns", "NumberOfFrames", "MIMETypeOfEncapsulatedDocument"]
OVERLAYS = [tag for position in OVERLAY_BIT_POSITIONS for tag in (position, position & 0xFFFF0000 | 0x3000)]
#: Values nobody may repeat in a reason: it is kept in the audit log, outside of the identified zone.
NAMING = ["PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "AccessionNumber", "PatientBirthDate"]

TAGS = [*(Tag(keyword) for keyword in [*HEADER, *NAMING]), *(Tag(tag) for tag in OVERLAYS)]


@dataclass(frozen=True)
class Original:
    """What an original says about itself; empty where it is no DICOM.

    Parameters
    ----------
    Modality, SOPClass
        The kind of object, as a code and in words.
    Rows, Columns, frames
        Size of the image; 0 if there is none.
    document
        Media type of an encapsulated document, or empty.
    hides_overlay
        Whether an overlay lies behind the pixel values.
    names
        What would name the patient.
    """

    Modality: str = ""
    SOPClass: str = ""
    Rows: int = 0
    Columns: int = 0
    frames: int = 0
    document: str = ""
    hides_overlay: bool = False
    names: frozenset[str] = frozenset()

    @property
    def has_image(self) -> bool:
        """Whether there is something to be shown."""
        return self.frames > 0


@lru_cache(maxsize=4096)
def describe_original(path: Path, digest: str) -> Original:
    """Read the header of an original; one that cannot be read is described as nothing.

    Parameters
    ----------
    path
        The file.
    digest
        Its content's, so that what was read once is remembered for this content only.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            header = dcmread(path, specific_tags=TAGS, stop_before_pixels=True)
            rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
            return Original(
                str(header.get("Modality") or ""),
                UID(str(header.get("SOPClassUID") or "")).name,
                rows,
                columns,
                count_frames(header) if rows and columns else 0,
                str(header.get("MIMETypeOfEncapsulatedDocument") or ""),
                hides_overlay(header),
                frozenset(_list_names(header)),
            )
    except Exception:  # whatever a broken file makes the parser stumble over
        return Original()


def render_original(path: Path, frame: int) -> bytes:
    """Return one frame of an original as PNG, windowed as its header wants.

    Raises
    ------
    InvalidRequest
        If there is no such frame.
    NotDeidentifiable
        If the pixels cannot be decoded.
    """
    dataset = open_pixels(path.read_bytes())
    if "PixelData" not in dataset:
        raise InvalidRequest("There is no image in this object.")
    if not 0 <= frame < count_frames(dataset):
        raise InvalidRequest(f"There is no frame {frame}; the first is 0, the last {count_frames(dataset) - 1}.")
    image = Image.fromarray(_window(dataset, read_frame(dataset, frame)))
    image.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE))
    target = BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def put_back(sources: Sequence[Path], inbox: Path, folder: str) -> list[Path]:
    """Move an original, and the files that belong to it, into a folder of the inbox; they appear there together.

    Parameters
    ----------
    sources
        The files; those after the first lie where they do relative to its folder.
    inbox
        The site's inbox.
    folder
        Name of a folder that is made there.

    Returns
    -------
    list of Path
        Where they are now. Doing it again changes nothing.
    """
    draft, target = inbox / f".{folder}", inbox / folder
    names = [os.path.relpath(source, sources[0].parent) for source in sources]
    for source, name in zip(sources, names, strict=True):
        if source.exists():
            place = draft / name
            place.parent.mkdir(parents=True, exist_ok=True)
            source.rename(place)
    if draft.exists():
        if target.exists():  # an earlier attempt got so far before it was cut off, and came back
            shutil.copytree(draft, target, copy_function=os.replace, dirs_exist_ok=True)
            shutil.rmtree(draft)
        else:
            draft.rename(target)
        sync_folder(inbox)
    return [target / name for name in names]


def _window(dataset: Dataset, frame: NDArray[Any]) -> NDArray[np.uint8]:
    if frame.ndim == 3 or is_palette(dataset):
        return frame if frame.dtype == np.uint8 else to_bytes(frame)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shown = to_bytes(apply_voi_lut(apply_modality_lut(frame, dataset), dataset))
    except Exception:  # a window that makes no sense must not hide the image
        shown = to_bytes(frame)
    return 255 - shown if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else shown


def _list_names(header: Dataset) -> list[str]:
    values = [str(header.get(keyword) or "") for keyword in NAMING]
    parts = " ".join(values).translate(str.maketrans("^=\\[],'", "       ")).casefold().split()
    return [part for part in parts if len(part) >= 3]
