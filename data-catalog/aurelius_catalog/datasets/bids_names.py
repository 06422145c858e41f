"""The name of a series in a folder laid out as BIDS asks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from aurelius_catalog.datasets.bids_diffusion import format_bvec
from aurelius_catalog.datasets.frozen_series import FrozenSeries
from aurelius_catalog.records import SeriesRecord

#: Folder and suffix by what the descriptions of an MR series say, the first that fits.
_MR = (
    (r"flair", "anat", "FLAIR"),
    (r"dwi|diff|dti|trace", "dwi", "dwi"),
    (r"bold|fmri|rest", "func", "bold"),
    (r"t2\*|t2star|swi|gre", "anat", "T2starw"),
    (r"t1", "anat", "T1w"),
    (r"t2", "anat", "T2w"),
    (r"\bpd\b|proton", "anat", "PDw"),
)
#: Folder and suffix of the other modalities; BIDS itself has no word for CT yet, nor for an MR nobody described.
_OTHERS = {"CT": ("ct", "ct"), "PT": ("pet", "pet"), "MR": ("anat", "MR")}
#: For what the validator is told to look away: it knows no CT, and of PET it wants to know what was injected when.
_FOREIGN = ("ct", "pet", "other")
IGNORED = (*(f"**/{folder}{inside}" for folder in _FOREIGN for inside in ("", "/**")), "**/*_MR.*")
#: What an image has beside space in each folder. BIDS wants echoes and components in files of their own.
_AXES: dict[str, tuple[str, ...]] = {"anat": (), "dwi": ("b",), "func": ("t",)}
_PARTS = {"MAGNITUDE": "mag", "PHASE": "phase", "REAL": "real", "IMAGINARY": "imag"}


@dataclass(frozen=True)
class Name:
    """Where an image goes: ``sub-01/ses-01/anat/sub-01_ses-01_run-1_T1w``, without the ending."""

    subject: str
    session: str
    folder: str
    entities: str
    suffix: str

    @property
    def stem(self) -> str:
        """The name of its file."""
        return f"sub-{self.subject}_ses-{self.session}{self.entities}_{self.suffix}"

    @property
    def path(self) -> str:
        """Below the folder of the dataset."""
        return f"sub-{self.subject}/ses-{self.session}/{self.folder}/{self.stem}"

    def add(self, entities: str) -> Name:
        """Return the name of a part of the image."""
        return replace(self, entities=f"{self.entities}{entities}")


def name_series(series: Sequence[FrozenSeries]) -> dict[str, Name]:
    """Name every series of a dataset, by SeriesInstanceUID; the same dataset gives the same names.

    Subjects are the pseudonyms, letters and digits only; sessions are a patient's studies by date; runs are counted
    where several series of a study are alike.
    """
    records = sorted((each.record for each in series), key=_order)
    subjects = _name_subjects(sorted({record.PatientID for record in records}))
    sessions: dict[str, list[str]] = {}
    for record in records:
        studies = sessions.setdefault(record.PatientID, [])
        if record.StudyInstanceUID not in studies:
            studies.append(record.StudyInstanceUID)
    kinds = {record.SeriesInstanceUID: find_kind(record) for record in records}
    alike = Counter((record.StudyInstanceUID, kinds[record.SeriesInstanceUID]) for record in records)
    runs: Counter[tuple[str, tuple[str, str]]] = Counter()
    names = {}
    for record in records:
        folder, suffix = kinds[record.SeriesInstanceUID]
        key = (record.StudyInstanceUID, (folder, suffix))
        runs[key] += 1
        subject = subjects[record.PatientID]
        session = f"{sessions[record.PatientID].index(record.StudyInstanceUID) + 1:02d}"
        task = f"_task-{find_task(record)}" if suffix == "bold" else ""
        run = f"_run-{runs[key]}" if alike[key] > 1 else ""
        names[record.SeriesInstanceUID] = Name(subject, session, folder, f"{task}{run}", suffix)
    return names


def name_parts(name: Name, images: Sequence[xr.DataArray]) -> Iterator[tuple[Name, xr.DataArray]]:
    """Name the files of a series: several where it holds several volumes, echoes, or parts of complex numbers.

    What is no image of the kind its descriptions promised, such as a diffusion series without directions, is called an
    MR and nothing more.
    """
    for number, image in enumerate(images, start=1):
        several = f"_chunk-{number}" if len(images) > 1 else ""
        axes = _AXES.get(name.folder)
        if axes is None:
            yield name.add(several), image
            continue
        split = [dim for dim in ("echo", "component") if dim in image.dims]
        left = tuple(dim for dim in image.dims if dim not in ("z", "y", "x", *split))
        untold = "b" in axes and left == axes and format_bvec(image) is None
        if left != axes or untold or name.suffix == "MR" or (several and name.folder == "func"):
            yield replace(name, suffix="MR").add(several), image
            continue
        for place in np.ndindex(*(image.sizes[dim] for dim in split)):
            part = image.isel(dict(zip(split, place, strict=True)))
            echo = f"_echo-{place[split.index('echo')] + 1}" if "echo" in split else ""
            kind = _PARTS.get(str(part.coords["component"].values)) if "component" in split else None
            if "component" in split and kind is None:
                yield replace(name, suffix="MR").add(several), image
                break
            suffix = "MEGRE" if echo and name.suffix == "T2starw" else name.suffix
            yield replace(name, suffix=suffix).add(f"{echo}{f'_part-{kind}' if kind else ''}{several}"), part


def is_bids(path: str) -> bool:
    """Whether BIDS has a word for the image at a path below the folder of the dataset."""
    *_, folder, file = path.split("/")
    return folder not in _FOREIGN and "_MR." not in file


def find_task(record: SeriesRecord) -> str:
    """Return what somebody did in the scanner, as far as the descriptions say."""
    return "rest" if "rest" in _tell(record) else "unknown"


def find_kind(record: SeriesRecord) -> tuple[str, str]:
    """Return folder and suffix of a series, from its modality and what its descriptions say."""
    if record.Modality == "MR":
        for words, folder, suffix in _MR:
            if re.search(words, _tell(record)):
                return folder, suffix
    return _OTHERS.get(record.Modality, ("other", re.sub("[^A-Za-z0-9]", "", record.Modality) or "image"))


def _tell(record: SeriesRecord) -> str:
    return " ".join(filter(None, (record.SeriesDescription, record.ProtocolName, record.SequenceName))).lower()


def _order(record: SeriesRecord) -> tuple[str, str, str, int, str]:
    date = f"{record.StudyDate or '9'} {record.StudyTime or ''}"
    return record.PatientID, date, record.StudyInstanceUID, record.SeriesNumber or 0, record.SeriesInstanceUID


def _name_subjects(patients: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for patient in patients:
        plain = re.sub("[^A-Za-z0-9]", "", patient) or "unknown"
        taken = sum(re.fullmatch(f"{plain}(x\\d+)?", name) is not None for name in names.values())
        names[patient] = f"{plain}x{taken + 1}" if taken else plain
    return names
