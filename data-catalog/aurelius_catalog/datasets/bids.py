"""A frozen dataset as a folder of NIfTI files laid out as BIDS 1.10 asks, as far as BIDS has a word for it.

Images are NIfTI with a JSON sidecar, label maps a derivative (``dseg``) with the table of what their values mean.
BIDS is about brains; CT and what it does not know goes to folders that ``.bidsignore`` names.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import xarray as xr

from aurelius_catalog.datasets.bids_diffusion import format_bval, format_bvec
from aurelius_catalog.datasets.bids_names import IGNORED, Name, find_task, is_bids, name_parts, name_series
from aurelius_catalog.datasets.contents import DatasetContents
from aurelius_catalog.datasets.frozen_series import FrozenSeries
from aurelius_catalog.datasets.labels import read_labels
from aurelius_catalog.datasets.ome_zarr import find_period, shrink_values
from aurelius_catalog.durable_files import SHARED, replace_durably, write_durably
from aurelius_catalog.errors import AureliusError, InvalidRequest, InvalidVolume, Unreachable
from aurelius_catalog.local.dataset_summary import read_years
from aurelius_catalog.records import SeriesRecord
from aurelius_catalog.volumes.geometry import LPS_TO_RAS

BIDS_VERSION = "1.10.0"
LABELS = "derivatives/labels"
#: The sidecar's word for an attribute of a series, and the factor to the sidecar's unit.
SIDECAR: tuple[tuple[str, str, float], ...] = (
    ("Modality", "Modality", 1),
    ("Manufacturer", "Manufacturer", 1),
    ("ManufacturersModelName", "ManufacturerModelName", 1),
    ("BodyPart", "BodyPartExamined", 1),
    ("SeriesDescription", "SeriesDescription", 1),
    ("ProtocolName", "ProtocolName", 1),
    ("MagneticFieldStrength", "MagneticFieldStrength", 1),
    ("RepetitionTime", "RepetitionTime", 1e-3),  # BIDS counts in seconds, DICOM in milliseconds
    ("EchoTime", "EchoTime", 1e-3),
    ("InversionTime", "InversionTime", 1e-3),
    ("FlipAngle", "FlipAngle", 1),
    ("ScanningSequence", "ScanningSequence", 1),
    ("SequenceName", "SequenceName", 1),
    ("SequenceVariant", "SequenceVariant", 1),
    ("SliceThickness", "SliceThickness", 1),
    ("ConvolutionKernel", "ConvolutionKernel", 1),
    ("ContrastBolusIngredient", "ContrastBolusAgent", 1),
    ("SeriesInstanceUID", "SeriesInstanceUID", 1),
    ("StudyInstanceUID", "StudyInstanceUID", 1),
)


@dataclass(frozen=True)
class BidsFolder:
    """What was written, and what could not be.

    Parameters
    ----------
    folder
        Where it is.
    files
        Paths of the images below it, by SeriesInstanceUID: several where a series holds several volumes or echoes.
    skipped
        Series that are no volumes in the patient: SeriesInstanceUID and why.
    """

    folder: Path
    files: Mapping[str, tuple[str, ...]]
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        left = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"<BidsFolder: {len(self.files)} series in {self.folder}{left}>"


def export_bids(
    dataset: DatasetContents, folder: Path, progress: Callable[[int, int], object] | None = None
) -> BidsFolder:
    """Bring a folder to hold this dataset; see `FrozenDataset.to_bids`."""
    _claim(folder, dataset)
    names = name_series(dataset.series)
    present = {f"sub-{name.subject}" for name in names.values()}
    for place in [*folder.glob("sub-*"), *(folder / LABELS).glob("sub-*")]:
        if place.name not in present:  # withdrawn since
            shutil.rmtree(place)
    files: dict[str, tuple[str, ...]] = {}
    skipped: dict[str, str] = {}
    for done, series in enumerate(dataset, start=1):
        uid = series.record.SeriesInstanceUID
        try:
            files[uid] = _write_series(series, names[uid], folder, dataset.segments)
        except (Unreachable, OSError):
            raise
        except (AureliusError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
            skipped[uid] = f"{type(error).__name__}: {error}"
        if progress is not None:
            progress(done, len(dataset))
    _write_tables(folder, dataset, names, files)
    return BidsFolder(folder, files, skipped)


def _claim(folder: Path, dataset: DatasetContents) -> None:
    """Say in the folder whose it is, or refuse one that holds something else."""
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "dataset_description.json"
    if any(folder.iterdir()):
        held = json.loads(described.read_text()) if described.is_file() else {}
        if held.get("SourceDatasets") != [{"Version": dataset.id}]:
            raise InvalidRequest(f"{folder} holds something else: give this dataset a folder of its own.")
    made = {"GeneratedBy": [{"Name": "Aurelius", "Version": version("aurelius")}]}
    common = {"BIDSVersion": BIDS_VERSION, "SourceDatasets": [{"Version": dataset.id}], **made}
    about = {"Name": dataset.name, "DatasetType": "raw", "HowToAcknowledge": dataset.citation, **common}
    _write_text(described, _to_json(about))
    if dataset.segments:
        labels = {"Name": f"Labels of {dataset.name}", "DatasetType": "derivative", **common}
        _write_text(folder / LABELS / "dataset_description.json", _to_json(labels))
        rows = ((number, name) for name, number in dataset.segments.items())
        _write_text(folder / LABELS / "dseg.tsv", _to_table(("index", "name"), rows))
    for place in (folder, folder / LABELS) if dataset.segments else (folder,):  # each is a dataset to the validator
        _write_text(place / ".bidsignore", "".join(f"{pattern}\n" for pattern in IGNORED))
    note = (
        "The files are de-identified: `sub-` are pseudonyms. Axes run as in the scanner's images; affines are RAS, mm."
    )
    _write_text(folder / "README", f"{dataset.name}\n\n{dataset.citation}\n\n{note}\n")


def _write_series(series: FrozenSeries, name: Name, folder: Path, segments: Mapping[str, int]) -> tuple[str, ...]:
    """Write the images of a series, each with its label and, last, its sidecar: where it is, the rest is whole.

    Returns their paths below the folder.
    """
    parts = list(name_parts(name, series.open_arrays()))
    sidecars = [folder / f"{part.path}.json" for part, _ in parts]
    if not all(sidecar.is_file() for sidecar in sidecars):
        labels = read_labels(series, segments, [image for _, image in parts])
        for sidecar, (part, image), label in zip(sidecars, parts, labels, strict=True):
            if not sidecar.is_file():
                _write_image(series.record, part, image, label, folder)
    return tuple(f"{part.path}.nii.gz" for part, _ in parts)


def _write_image(
    record: SeriesRecord, name: Name, image: xr.DataArray, label: xr.DataArray | None, folder: Path
) -> None:
    about = _describe(record, image, name)
    _write_nifti(folder / f"{name.path}.nii.gz", image, about.get("RepetitionTime"))
    if label is not None:
        stem = name.path.removesuffix(f"_{name.suffix}")
        _write_nifti(folder / LABELS / f"{stem}_desc-{name.suffix}_dseg.nii.gz", label)
    if "b" in image.dims:
        _write_text(folder / f"{name.path}.bval", format_bval(image))
        if (gradients := format_bvec(image)) is not None:
            _write_text(folder / f"{name.path}.bvec", gradients)
    _write_text(folder / f"{name.path}.json", _to_json(about))


def _write_nifti(path: Path, image: xr.DataArray, step_s: float | None = None) -> None:
    """Write an image or a label; ``step_s`` is how long a step in time takes, if the image does not say."""
    affine = image.attrs.get("affine_lps")
    if affine is None or "z" not in image.dims or "c" in image.dims:
        raise InvalidVolume("These images have no place in the patient, which a NIfTI file needs.")
    others = [dim for dim in image.dims if dim not in ("x", "y", "z")]
    values = shrink_values(image.transpose("x", "y", "z", *others).to_numpy())
    nifti = nib.Nifti1Image(values, LPS_TO_RAS @ np.asarray(affine, dtype=np.float64))
    nifti.header.set_xyzt_units("mm", "sec")
    if others == ["t"] and (step := find_period(image).get("t", step_s)):
        nifti.header.set_zooms((*nifti.header.get_zooms()[:3], step))
    nifti.set_sform(nifti.affine, code=1)  # 1: coordinates of the scanner
    nifti.set_qform(nifti.affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_durably(path, mode=SHARED) as draft:
        nib.save(nifti, draft)


def _describe(record: SeriesRecord, image: xr.DataArray, name: Name) -> dict[str, Any]:
    about: dict[str, Any] = {}
    for word, keyword, factor in SIDECAR:
        value = getattr(record, keyword)
        if value is not None:
            about[word] = value * factor if factor != 1 else value
    if "echo" in image.coords and image["echo"].ndim == 0 and image["echo"].attrs.get("units") == "ms":
        about["EchoTime"] = float(image["echo"]) * 1e-3
    if name.suffix == "bold":
        about["TaskName"] = find_task(record)
        about["RepetitionTime"] = find_period(image).get("t", about.get("RepetitionTime"))
    return {**about, "Units": image.attrs.get("units") or "arbitrary"}


def _write_tables(
    folder: Path, dataset: DatasetContents, names: Mapping[str, Name], files: Mapping[str, tuple[str, ...]]
) -> None:
    """Write who the participants are, and which study and series each file is."""
    written = [series.record for series in dataset if series.record.SeriesInstanceUID in files]
    people: dict[str, SeriesRecord] = {}
    for record in sorted(written, key=lambda record: names[record.SeriesInstanceUID].path):
        people.setdefault(names[record.SeriesInstanceUID].subject, record)
    rows = []
    for subject, record in people.items():
        years = read_years(record.PatientAge)
        age = None if years is None else f"{min(years, 89):g}"  # BIDS: everybody older is 89
        rows.append((f"sub-{subject}", age, record.PatientSex, record.site))
    _write_text(folder / "participants.tsv", _to_table(("participant_id", "age", "sex", "site"), rows))
    columns = {
        "age": {"Units": "year"},
        "sex": {"Levels": {"F": "female", "M": "male", "O": "other"}},
        "site": {"Description": "Where the images were taken"},
    }
    _write_text(folder / "participants.json", _to_json(columns))
    _write_text(folder / "scans.json", _to_json({"SeriesInstanceUID": {"Description": "The series in the catalog"}}))
    sessions: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for record in written:
        name = names[record.SeriesInstanceUID]
        for path in filter(is_bids, files[record.SeriesInstanceUID]):  # others must not be listed
            mine = sessions.setdefault((name.subject, name.session), [])
            mine.append((path.split("/", 2)[2], record.SeriesInstanceUID))
    for (subject, session), scans in sessions.items():
        place = folder / f"sub-{subject}" / f"ses-{session}" / f"sub-{subject}_ses-{session}_scans.tsv"
        _write_text(place, _to_table(("filename", "SeriesInstanceUID"), sorted(scans)))


def _to_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _to_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(head)
    writer.writerows(["n/a" if value in (None, "") else value for value in row] for row in rows)
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, text.encode(), mode=SHARED)
