"""The content of a dataset, counted: the numbers of its data card."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from aurelius_catalog.records import DatasetObject, SeriesRecord

#: Years in a PatientAge (PS3.5 section 6.2: nnnD, nnnW, nnnM, nnnY) per unit.
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
#: What people look for, and must know where it is missing.
EXPECTED = (
    "PatientSex",
    "PatientAge",
    "StudyDescription",
    "SeriesDescription",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
    "ProtocolName",
)
EXPECTED_OF = {
    "CT": ("SliceThickness", "PixelSpacing", "KVP", "XRayTubeCurrent", "ConvolutionKernel", "ContrastBolusAgent"),
    "MR": ("SliceThickness", "PixelSpacing", "MagneticFieldStrength", "RepetitionTime", "EchoTime", "FlipAngle"),
    "PT": ("SliceThickness", "PixelSpacing", "Units", "Radiopharmaceutical", "RadionuclideTotalDose"),
    "SM": ("ObjectiveLensPower", "TotalPixelMatrixColumns"),
}
#: Numbers whose range says how alike the images are, and their units.
MEASURED = {
    "PixelSpacing": "mm",
    "SliceThickness": "mm",
    "Rows": "",
    "Columns": "",
    "KVP": "kV",
    "MagneticFieldStrength": "T",
    "RepetitionTime": "ms",
    "EchoTime": "ms",
    "CTDIvol": "mGy",
}


@dataclass(frozen=True)
class Group:
    """Series that share a value: how many, of how many patients."""

    value: str
    series: int
    patients: int


@dataclass(frozen=True)
class ValueRange:
    """The numbers of one attribute within one modality, and how many series have none."""

    modality: str
    keyword: str
    unit: str
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Gap:
    """An attribute that is missing in some series of those that should have it."""

    keyword: str
    modality: str
    missing: int
    of: int


@dataclass(frozen=True)
class Summary:
    """A dataset in numbers.

    Parameters
    ----------
    patients, studies, series, frames
        How many of each are left.
    labelled
        Series with at least one label version.
    modalities, parts, scanners, sites, flags
        Groups of series, the largest first.
    structures
        Groups of series by what their newest label shows.
    sexes
        Patients by PatientSex.
    ages
        Patients by decade of life at their first study: ``60-69``.
    unknown_ages
        Patients whose age is not known.
    ranges, gaps
        How the images vary, and what is missing.
    """

    patients: int
    studies: int
    series: int
    frames: int
    labelled: int
    modalities: tuple[Group, ...]
    parts: tuple[Group, ...]
    scanners: tuple[Group, ...]
    sites: tuple[Group, ...]
    flags: tuple[Group, ...]
    structures: tuple[Group, ...]
    sexes: dict[str, int]
    ages: dict[str, int]
    unknown_ages: int
    ranges: tuple[ValueRange, ...]
    gaps: tuple[Gap, ...]


def summarise(records: Sequence[SeriesRecord], labels: Iterable[DatasetObject]) -> Summary:
    """Count what a dataset holds.

    Parameters
    ----------
    records
        Its series.
    labels
        Its label versions.
    """
    newest: dict[str, DatasetObject] = {}
    for item in sorted(labels, key=lambda item: item.version or 0):
        if not item.withdrawn:
            newest[item.SeriesInstanceUID] = item
    first: dict[str, SeriesRecord] = {}
    for record in sorted(records, key=lambda record: record.StudyDate or "9"):
        first.setdefault(record.PatientID, record)
    ages = [read_years(record.PatientAge) for record in first.values()]

    def shown(record: SeriesRecord) -> list[str]:
        label = newest.get(record.SeriesInstanceUID)
        return sorted({segment.label for segment in label.segments}) if label else []

    return Summary(
        patients=len(first),
        studies=len({record.StudyInstanceUID for record in records}),
        series=len(records),
        frames=sum(record.n_frames for record in records),
        labelled=sum(record.SeriesInstanceUID in newest for record in records),
        modalities=_group(records, lambda record: [record.Modality]),
        parts=_group(records, lambda record: [record.BodyPartExamined or "not said"]),
        scanners=_group(records, lambda record: [_name_scanner(record)]),
        sites=_group(records, lambda record: [record.site]),
        flags=_group(records, lambda record: list(record.flags)),
        structures=_group(records, shown),
        sexes=dict(Counter(record.PatientSex or "not said" for record in first.values()).most_common()),
        ages=_count_decades([age for age in ages if age is not None]),
        unknown_ages=ages.count(None),
        ranges=tuple(_measure(records)),
        gaps=tuple(_find_gaps(records)),
    )


def read_years(age: str | None) -> float | None:
    """Return a DICOM age (``061Y``, ``010M``) in years; None where there is none."""
    found = re.fullmatch(r"\s*(\d{1,3})([DWMY])\s*", age or "")
    return int(found[1]) * _YEARS[found[2]] if found else None


def _name_scanner(record: SeriesRecord) -> str:
    return " ".join(part for part in (record.Manufacturer, record.ManufacturerModelName) if part) or "not said"


def _group(records: Sequence[SeriesRecord], name: Callable[[SeriesRecord], list[str]]) -> tuple[Group, ...]:
    held: dict[str, list[SeriesRecord]] = defaultdict(list)
    for record in records:
        for value in name(record):
            held[value].append(record)
    groups = [Group(value, len(those), len({each.PatientID for each in those})) for value, those in held.items()]
    return tuple(sorted(groups, key=lambda group: (-group.series, group.value)))


def _count_decades(years: Sequence[float]) -> dict[str, int]:
    """Count by decade, without gaps between the first and the last."""
    counts = Counter(int(age) // 10 for age in years)
    decades = range(min(counts), max(counts) + 1) if counts else ()
    return {f"{ten}0-{ten}9" if ten else "0-9": counts[ten] for ten in decades}


def _measure(records: Sequence[SeriesRecord]) -> Iterable[ValueRange]:
    for modality in sorted({record.Modality for record in records}):
        for keyword, unit in MEASURED.items():
            found = [getattr(record, keyword) for record in records if record.Modality == modality]
            numbers = [float(value) for value in found if value is not None]
            if numbers:
                yield ValueRange(modality, keyword, unit, min(numbers), median(numbers), max(numbers))


def _find_gaps(records: Sequence[SeriesRecord]) -> Iterable[Gap]:
    for modality, keywords in (("", EXPECTED), *EXPECTED_OF.items()):
        chosen = [record for record in records if modality in ("", record.Modality)]
        for keyword in keywords:
            missing = sum(getattr(record, keyword) in (None, "") for record in chosen)
            if missing:
                yield Gap(keyword, modality, missing, len(chosen))
