"""What a series is called in a folder laid out as BIDS asks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aurelius_catalog.datasets.series import FrozenSeries
from aurelius_catalog.model import SeriesRecord

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
#: For what of this the validator is told to look away.
IGNORED = ("**/ct/**", "**/*_MR.*", "**/other/**")


@dataclass(frozen=True)
class Name:
    """Where a series goes: ``sub-01/ses-01/anat/sub-01_ses-01_run-1_T1w``, without the ending."""

    subject: str
    session: str
    folder: str
    stem: str

    @property
    def path(self) -> str:
        """Below the folder of the dataset."""
        return f"sub-{self.subject}/ses-{self.session}/{self.folder}/{self.stem}"


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
        task = "_task-unknown" if suffix == "bold" else ""
        run = f"_run-{runs[key]}" if alike[key] > 1 else ""
        stem = f"sub-{subject}_ses-{session}{task}{run}_{suffix}"
        names[record.SeriesInstanceUID] = Name(subject, session, folder, stem)
    return names


def find_kind(record: SeriesRecord) -> tuple[str, str]:
    """Return folder and suffix of a series, from its modality and what its descriptions say."""
    if record.Modality == "MR":
        told = " ".join(filter(None, (record.SeriesDescription, record.ProtocolName, record.SequenceName))).lower()
        for words, folder, suffix in _MR:
            if re.search(words, told):
                return folder, suffix
    return _OTHERS.get(record.Modality, ("other", re.sub("[^A-Za-z0-9]", "", record.Modality) or "image"))


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
