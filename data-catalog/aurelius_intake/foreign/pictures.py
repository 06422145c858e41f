"""PNG, JPEG and plain TIFF pictures as DICOM: only pixels are taken, so no EXIF, comment or text chunk comes along.

The object is a Secondary Capture, or a VL Photographic Image where the sidecar says XC (PS3.3 A.8.1, A.32.4).
"""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom import Dataset, FileDataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage

from aurelius_catalog.errors import NotDeidentifiable
from aurelius_deidentify.slides.jpeg import APP14, FRAMES, SOF0, list_segments, strip_jpeg
from aurelius_deidentify.slides.tiff import is_tiff

PHOTOGRAPH_CLASS = UID("1.2.840.10008.5.1.4.1.1.77.1.4")
MOST_PIXELS = 100_000_000
MOST_BYTES = 6 * MOST_PIXELS
#: Modes of Pillow, and what each becomes: transparency goes, palettes become colours.
MODES = {"1": "L", "L": "L", "LA": "L", "I;16": "I;16", "I;16B": "I;16", "I;16L": "I;16"}
COLOURS = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB"})
SIXTEEN_BIT_COLOUR = "The picture has 16 bits per colour, which no medical image has: save it with 8."


def is_picture(head: bytes) -> bool:
    """Whether a file begins as PNG, JPEG or TIFF does."""
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or is_tiff(head)


def to_dicom(path: Path, header: Dataset) -> bytes:
    """Return a picture as a DICOM Part 10 file that carries a given, identified header.

    A baseline JPEG stays the codestream it is; everything else becomes native pixels.

    Raises
    ------
    NotDeidentifiable
        If the picture is damaged, too large, or of a kind that DICOM has no place for.
    """
    if path.stat().st_size > MOST_BYTES:
        raise NotDeidentifiable(_too_large())
    data = path.read_bytes()
    dataset = FileDataset("", header, preamble=bytes(128), file_meta=header.file_meta)
    photograph = dataset.Modality == "XC"
    dataset.SOPClassUID = PHOTOGRAPH_CLASS if photograph else SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.ImageType = ["ORIGINAL", "PRIMARY"] if photograph else ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = dataset.Laterality = ""
    dataset.LossyImageCompression = "00"
    if photograph:
        dataset.AcquisitionContextSequence = []
        dataset.Manufacturer = ""
    else:
        dataset.ConversionType = "WSD"
    if not (data[:2] == b"\xff\xd8" and _take_codestream(dataset, data)):
        _take_pixels(dataset, data)
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _take_codestream(dataset: Dataset, data: bytes) -> bool:
    """Put a baseline JPEG into a data set as it is; False where it must be decoded."""
    segments = list(list_segments(data))
    frames = [each for each in segments if each.marker in FRAMES]
    if len(frames) != 1 or frames[0].marker != SOF0 or not _is_upright(data):
        return False
    head = data[frames[0].start + 4 : frames[0].end]
    if len(head) < 9:
        return False
    precision, rows, columns, samples = struct.unpack(">BHHB", head[:6])
    if precision != 8 or samples not in (1, 3) or not rows:
        return False
    _check_size(columns, rows)
    adobe = next((data[each.start + 4 : each.end] for each in segments if each.marker == APP14), b"")
    if samples == 1:
        colour = "MONOCHROME2"
    elif adobe[:5] == b"Adobe" and adobe[11:12] == b"\0":
        colour = "RGB"
    else:
        colour = "YBR_FULL" if head[7] == 0x11 else "YBR_FULL_422"
    stream = strip_jpeg(data)
    _describe_pixels(dataset, rows, columns, samples, 8, colour)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = f"{rows * columns * samples / len(stream):.4g}"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    return True


def _take_pixels(dataset: Dataset, data: bytes) -> None:
    pixels = _decode(data)
    samples = 1 if pixels.ndim == 2 else 3
    bits = pixels.dtype.itemsize * 8
    colour = "MONOCHROME2" if samples == 1 else "RGB"
    _describe_pixels(dataset, pixels.shape[0], pixels.shape[1], samples, bits, colour)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if data[:2] == b"\xff\xd8":
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionRatio = f"{pixels.nbytes / len(data):.4g}"
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def _decode(data: bytes) -> np.ndarray:
    """Return the pixels, ``(y, x)`` uint8 or uint16, or ``(y, x, 3)`` uint8, turned as EXIF says."""
    if data[:4] == b"\x89PNG" and data[24] == 16 and data[25] in (2, 6):
        raise NotDeidentifiable(SIXTEEN_BIT_COLOUR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the file
            image = Image.open(BytesIO(data), formats=["PNG", "JPEG", "TIFF"])
            _check_size(*image.size)
            if getattr(image, "n_frames", 1) > 1 and not data.startswith(b"\xff\xd8"):
                raise NotDeidentifiable("The file holds several pictures: save each as a file of its own.")
            upright = ImageOps.exif_transpose(image)
    except (NotDeidentifiable, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise NotDeidentifiable(_too_large()) from None
    except UnidentifiedImageError:
        raise NotDeidentifiable("The picture is damaged, or of a kind that is not known here.") from None
    except Exception as error:  # a decoder's messages may quote the file
        raise NotDeidentifiable(f"The picture is damaged ({type(error).__name__}). Export it anew.") from None
    mode = MODES.get(upright.mode, "RGB" if upright.mode in COLOURS else None)
    if mode is None:
        raise NotDeidentifiable("The picture has 32 bits per pixel: save it with 8 or 16.")
    return np.asarray(upright if mode == "I;16" else upright.convert(mode)).astype("<u2" if mode == "I;16" else "u1")


def _describe_pixels(dataset: Dataset, rows: int, columns: int, samples: int, bits: int, colour: str) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = samples, colour
    if samples > 1:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0


def _is_upright(data: bytes) -> bool:
    try:
        return Image.open(BytesIO(data), formats=["JPEG"]).getexif().get(0x0112, 1) == 1
    except Exception:  # no readable EXIF turns nothing
        return True


def _check_size(columns: int, rows: int) -> None:
    if columns * rows > MOST_PIXELS or max(columns, rows) > 65535:
        raise NotDeidentifiable(_too_large())


def _too_large() -> str:
    return f"The picture has more than {MOST_PIXELS // 1_000_000} million pixels. If it is a slide, save it as SVS."
