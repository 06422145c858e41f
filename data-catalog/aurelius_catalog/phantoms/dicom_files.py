"""Phantoms as a hospital would send them: DICOM series with identified headers, and the truth as a DICOM SEG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from aurelius_catalog.phantoms.bodies import Phantom
from aurelius_catalog.phantoms.visits import PhantomVisit, describe_series

Triple = tuple[float, float, float]


def write_phantom(folder: Path, phantom: Phantom, visit: PhantomVisit) -> list[Path]:
    """Write a phantom as one DICOM series, one file per slice; see `write_series`."""
    chest = phantom.kind == "ct-chest"
    return write_series(
        folder,
        phantom.image,
        phantom.spacing_mm,
        visit,
        Modality="CT" if chest else "MR",
        BodyPartExamined="CHEST" if chest else "BRAIN",
    )


def write_series(
    folder: Path,
    volume: NDArray[np.int16],
    spacing_mm: Triple,
    visit: PhantomVisit,
    *,
    Modality: str = "CT",
    BodyPartExamined: str = "CHEST",
    SeriesNumber: int = 1,
) -> list[Path]:
    """Write a volume as one DICOM series of single-frame files with a fully identified header.

    Parameters
    ----------
    folder
        Where the files go; made if it is not there.
    volume
        ``(z, y, x)`` int16; CT in Hounsfield units, MR in signal. z runs to the head.
    spacing_mm
        Distance between voxel centres along (z, y, x), in mm.
    visit
        Patient and study.
    Modality, BodyPartExamined, SeriesNumber
        As in DICOM; ``Modality`` is ``CT`` or ``MR``.

    Returns
    -------
    list of Path
        The files, from the feet up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, plane in enumerate(volume):
        dataset = describe_series(visit, Modality, BodyPartExamined, SeriesNumber)
        dataset.SOPInstanceUID = visit.make_uid(Modality, SeriesNumber, index)
        dataset.InstanceNumber = index + 1
        _place_slice(dataset, volume.shape, spacing_mm, index)
        _put_pixels(dataset, plane, Modality)
        paths.append(folder / f"{Modality}{SeriesNumber:02d}_{index + 1:04d}.dcm")
        _save(dataset, paths[-1])
    return paths


def write_truth(path: Path, sources: Sequence[Path], truth: NDArray[np.uint8], label: str, visit: PhantomVisit) -> Path:
    """Write the truth of a phantom as a DICOM SEG that refers to its series.

    Parameters
    ----------
    path
        The file to write.
    sources
        The files of the series, from the feet up, one per plane of ``truth``.
    truth
        ``(z, y, x)`` uint8; 1 inside the structure.
    label
        Segment label, as ``nodule``.
    visit
        The visit the series belongs to.
    """
    headers = [hd.imread(source) for source in sources]
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=Code("27925004", "SCT", "Nodule") if label == "nodule" else codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    segmentation = hd.seg.Segmentation(
        source_images=headers,
        pixel_array=truth,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=visit.make_uid("SEG"),
        series_number=100,
        sop_instance_uid=visit.make_uid("SEG", 1),
        instance_number=1,
        manufacturer="Aurelius",
        manufacturer_model_name="Phantom",
        software_versions="1",
        device_serial_number="SEG-4711",
        content_label="TRUTH",
        content_creator_name="Reader^Rita",
        series_description="Truth of the phantom",
    )
    for keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
        setattr(segmentation, keyword, visit.StudyDate)  # not today: the same visit always gives the same file
    for keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
        setattr(segmentation, keyword, "101530")
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
    return path


def _place_slice(dataset: Dataset, shape: tuple[int, ...], spacing_mm: Triple, index: int) -> None:
    dz, dy, dx = spacing_mm
    corner = [-(n - 1) / 2 * d for n, d in zip(shape, spacing_mm, strict=True)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [corner[2], corner[1], corner[0] + index * dz]
    dataset.PixelSpacing, dataset.SliceThickness = [dy, dx], dz


def _put_pixels(dataset: Dataset, plane: NDArray[np.int16], Modality: str) -> None:
    dataset.Rows, dataset.Columns = plane.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.WindowCenter, dataset.WindowWidth = (-200, 1400) if Modality == "CT" else (450, 900)
    if Modality == "CT":
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType, dataset.KVP = 0, 1, "HU", 120
        dataset.AcquisitionNumber = 1
    else:
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.RepetitionTime, dataset.EchoTrainLength = "2D", 90, 9000, 1
    dataset.PixelData = plane.astype("<i2").tobytes()


def _save(dataset: Dataset, path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SourceApplicationEntityTitle = "NORTHPORT_CT3"
    FileDataset(str(path), dataset, preamble=bytes(128), file_meta=meta).save_as(path, enforce_file_format=True)
