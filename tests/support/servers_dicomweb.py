"""The catalog's DICOMweb on a real port, and objects of every encoding to ask it for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.service import dicomweb
from aurelius_catalog.service.stores import read_settings
from aurelius_hub.ports import find_free_ports
from support.servers_catalog import wait_until

ROWS, COLUMNS = 6, 10
#: As long as a UID may be, and all of it digits that count.
LONG_UID = "1.2." + "9" * 60
UNICODE = "Zähne Łódź 肺 Кость"


@contextmanager
def temp_dicomweb(home: Path, person: Person) -> Iterator[str]:
    """Serve the DICOMweb of a catalog to one person, who needs no login; yields its address."""
    app = create_service("catalog")
    mount_router(app, dicomweb.router)
    app.dependency_overrides[current_person] = lambda: person
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURELIUS_HOME", str(home))
        patch.setenv("AURELIUS_INTAKE_RESERVE_MB", "0")
        read_settings.cache_clear()
        read_settings()  # kept until the module is done
    try:
        with serve(app) as url:
            yield f"{url}/dicomweb"
    finally:
        read_settings.cache_clear()


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port of loopback."""
    (port,) = find_free_ports(1)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the service")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def make_image(series: str, syntax: UID = ExplicitVRLittleEndian, frames: int = 1, number: int = 1) -> Dataset:
    """Make a grey image of 12 of 16 bits in a transfer syntax; ``series`` names the series and its study.

    The pixels are those of `make_pixels`.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = CTImageStorage if frames == 1 else MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(number)])
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[series, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[series, "series"])
    dataset.PatientID, dataset.PatientName, dataset.Modality = f"AUR-{series.upper()}", f"AUR-{series.upper()}", "CT"
    dataset.SeriesDescription, dataset.StudyDate = series, "20200102"
    dataset.InstanceNumber, dataset.SeriesNumber = number, 1
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = "100", "100"
    if frames > 1:
        dataset.NumberOfFrames = frames
    pixels = make_pixels(frames, number)
    if syntax in (JPEGLSLossless, JPEG2000Lossless):
        dataset.PixelData = encapsulate([_encode(frame, syntax) for frame in pixels])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    elif syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = pixels.astype("<u2").tobytes()
        dataset.compress(RLELossless, generate_instance_uid=False)
    else:
        dataset.PixelData = pixels.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes()
        dataset["PixelData"].VR = "OW"
    return dataset


def _encode(frame: np.ndarray, syntax: UID) -> bytes:
    if syntax == JPEGLSLossless:
        return bytes(imagecodecs.jpegls_encode(frame))
    return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0))


def make_pixels(frames: int = 1, number: int = 1) -> np.ndarray:
    """Return ``(frames, rows, columns)`` uint16 from 0 to 4095, others for each number."""
    return np.random.default_rng(number).integers(0, 4096, (frames, ROWS, COLUMNS)).astype(np.uint16)


def make_bits(series: str, frames: int = 3) -> tuple[Dataset, np.ndarray]:
    """Make an image of single bits whose frames begin within bytes, and return its bits ``(frames, 5, 5)`` uint8."""
    bits = np.random.default_rng(5).integers(0, 2, (frames, 5, 5)).astype(np.uint8)
    dataset = make_image(series, frames=frames)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MultiFrameSingleBitSecondaryCaptureImageStorage
    dataset.Rows = dataset.Columns = 5
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + bytes(len(packed) % 2)
    dataset["PixelData"].VR = "OB"
    return dataset, bits


def make_palette(series: str) -> Dataset:
    """Make an image of four colours, its palette too long to stand in a header's JSON; red, green, blue, white."""
    dataset = make_image(series)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.Modality, dataset.PhotometricInterpretation = "OT", "PALETTE COLOR"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = np.tile(np.repeat(np.arange(4, dtype=np.uint8), 2), (8, 1)).tobytes()
    dataset.Rows = dataset.Columns = 8
    for keyword, levels in {"Red": (255, 0, 0, 255), "Green": (0, 255, 0, 255), "Blue": (0, 0, 255, 255)}.items():
        table = np.zeros(1024, "<u2")
        table[:4] = np.array(levels, "<u2") * 257
        setattr(dataset, f"{keyword}PaletteColorLookupTableDescriptor", [1024, 0, 16])
        setattr(dataset, f"{keyword}PaletteColorLookupTableData", table.tobytes())
    return dataset


ENCODINGS = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpegls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
}
