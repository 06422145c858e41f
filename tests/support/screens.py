"""Pictures with writing in them: an ultrasound machine's screen, a radiograph with a name, a page."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from support.builders import VISIT

#: Where `draw_screen` puts the scan's own image: x, y, width, height.
CONTENT = (120, 80, 400, 360)
Line = tuple[str, int, int, int]
Pixels = NDArray[np.generic]


def draw_screen(lines: list[Line], *, seed: int = 1) -> NDArray[np.uint8]:
    """Draw white text, (text, x, y, size) each, on black, above a sector of speckle; (480, 640)."""
    generator = np.random.default_rng(seed)
    screen = np.zeros((480, 640), np.uint8)
    x, y, width, height = CONTENT
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(0, 1, height))
    inside = (np.abs(across) < down) & (across**2 + down**2 < 1)
    speckle = Image.fromarray(generator.integers(0, 255, (height // 3, width // 3)).astype(np.uint8))
    tissue = np.asarray(speckle.resize((width, height), Image.Resampling.BICUBIC)) // 2
    screen[y : y + height, x : x + width] = np.where(inside, tissue, 0)
    return write_text(screen, lines)


def write_text(picture: NDArray[np.uint8], lines: list[Line], ink: int = 255) -> NDArray[np.uint8]:
    """Draw text into a copy of a picture."""
    image = Image.fromarray(picture)
    for text, x, y, size in lines:
        ImageDraw.Draw(image).text((x, y), text, fill=ink, font=ImageFont.load_default(size))
    return np.array(image)


def make_image(pixels: Pixels, number: int = 1, **values: Any) -> Dataset:
    """Return an identified ultrasound of `VISIT`; (rows, columns), with frames in front or colours behind.

    Parameters
    ----------
    pixels
        uint8 or (u)int16.
    number
        Tells objects apart.
    values
        Further attributes, which replace these; None removes one.
    """
    coloured = pixels.ndim >= 3 and pixels.shape[-1] == 3
    framed = pixels.ndim - coloured == 3
    dataset = Dataset()
    dataset.SOPClassUID = UltrasoundMultiFrameImageStorage if framed else UltrasoundImageStorage
    dataset.SOPInstanceUID = VISIT.make_uid(f"screen {number}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = VISIT.make_uid("study"), VISIT.make_uid("screens")
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = VISIT.PatientName, VISIT.PatientID, "19580417"
    dataset.StudyDate, dataset.Modality = "20190712", "US"
    if framed:
        dataset.NumberOfFrames = pixels.shape[0]
    dataset.Rows, dataset.Columns = pixels.shape[framed : framed + 2]
    dataset.SamplesPerPixel = 3 if coloured else 1
    dataset.PhotometricInterpretation = "RGB" if coloured else "MONOCHROME2"
    if coloured:
        dataset.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def place_content(dataset: Dataset) -> Dataset:
    """Say where the scan's image lies on the screen, as ultrasound machines do."""
    x, y, width, height = CONTENT
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = x, y
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = x + width, y + height
    dataset.SequenceOfUltrasoundRegions = Sequence([region])
    return dataset


def to_part10(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Return a data set as a Part 10 file; with a compressed syntax its pixels are already compressed."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    target = BytesIO()
    dcmwrite(target, FileDataset(target, dataset, file_meta=meta, preamble=bytes(128)), enforce_file_format=True)
    return target.getvalue()


def strip_pixels(dataset: Dataset) -> Dataset:
    """Return the header alone, as the intake hands it around."""
    return Dataset({tag: element for tag, element in dataset.items() if tag != 0x7FE00010})
