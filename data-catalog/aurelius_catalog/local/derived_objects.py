"""Objects derived from the catalog's images, and the checks before one joins the study it belongs to.

An object made from de-identified images has nothing in its header that identifies, unless somebody mixed things up:
so it is held against the profile that the images were treated by. Who made it is known from the login.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from pydicom import DataElement, Dataset, FileDataset, FileMetaDataset, dcmread
from pydicom import uid as uids
from sqlalchemy import Connection, delete, select

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.dicom.json_header import Header, read_text
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.admission import add_version, find_segmented_series, list_segments
from aurelius_catalog.index.deidentified import DeidentifiedFile
from aurelius_catalog.index.schema import instances, leases, series
from aurelius_catalog.objects.structures import list_images, read_regions
from aurelius_catalog.records import SeriesRecord
from aurelius_deidentify.header import Profile, load_profile
from aurelius_deidentify.header.conformance import OURS, find_header_breaches
from aurelius_deidentify.header.values import DUMMIES
from aurelius_deidentify.pixels import judge_pixels

#: Of Segmentation and, which pydicom does not name yet, Label Map Segmentation Storage.
SEGMENTATIONS = frozenset({uids.SegmentationStorage, uids.UID("1.2.840.10008.5.1.4.1.1.66.7")})
#: What may come in: labels, contours, reports, pictures, maps of values, and how images were looked at.
ACCEPTED = SEGMENTATIONS | {
    uids.BasicTextSRStorage,
    uids.BlendingSoftcopyPresentationStateStorage,
    uids.ColorSoftcopyPresentationStateStorage,
    uids.Comprehensive3DSRStorage,
    uids.ComprehensiveSRStorage,
    uids.EnhancedSRStorage,
    uids.GrayscaleSoftcopyPresentationStateStorage,
    uids.KeyObjectSelectionDocumentStorage,
    uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uids.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uids.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uids.ParametricMapStorage,
    uids.PseudoColorSoftcopyPresentationStateStorage,
    uids.RTStructureSetStorage,
    uids.SecondaryCaptureImageStorage,
}
#: Failure reasons (PS3.18 table 10.5.3-2, PS3.7 annex C, PS3.4 table B.2-1).
FAILED, DUPLICATE, OTHER_CLASS, NOT_ALLOWED = 0x0110, 0x0111, 0x0122, 0x0124
DOES_NOT_FIT, NOT_UNDERSTOOD = 0xA900, 0xC000
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_UID = re.compile(r"[0-9.]{1,64}")
#: Whose work it is: the login says so, whatever the object says.
_AUTHORS = frozenset({"ContentCreatorName", "OperatorsName", "PersonName", "ROIInterpreter", "VerifyingObserverName"})
#: Where a program ran that made it; the house keeps none of these.
_PLACES = frozenset({"DeviceSerialNumber", "InstitutionName", "InstitutionalDepartmentName", "StationName"})
#: What people write about their own work, as they do in a label's name or its comment, and programs about their codes.
_WORDS = frozenset(
    {
        "CodingSchemeName",
        "CodingSchemeResponsibleOrganization",
        "ContentDescription",
        "ContentLabel",
        "ContributionDescription",
        "ROIDescription",
        "ROIGenerationDescription",
        "ROIName",
        "ROIObservationDescription",
        "ROIObservationLabel",
        "SegmentDescription",
        "SegmentLabel",
        "SeriesDescription",
        "StructureSetDescription",
        "StructureSetLabel",
        "StructureSetName",
        "UnformattedTextValue",
    }
)
#: UIDs that come into being with an object, and refer to nothing outside of it.
_NEW_UIDS = frozenset({"ConcatenationUID", "DimensionOrganizationUID", "SOPInstanceUID", "TrackingUID", "UID"})


class ResultRefused(InvalidRequest):
    """An object that somebody sent cannot join the study.

    Parameters
    ----------
    reason
        Failure reason as DICOM counts them.
    message
        Why, without a value of the object that might identify.
    """

    def __init__(self, reason: int, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_result(path: Path) -> FileDataset:
    """Read an object that somebody sent.

    Raises
    ------
    ResultRefused
        If it is no DICOM object, or lacks a UID.
    """
    try:
        with _no_quotes():
            dataset = dcmread(path)
            named = [str(dataset.get(keyword) or "") for keyword in IDENTITY]
    except Exception as error:  # whatever it is that cannot be read, its sender is told
        raise ResultRefused(NOT_UNDERSTOOD, f"This is no DICOM object ({type(error).__name__}).") from None
    if not all(_UID.fullmatch(uid) and uids.UID(uid).is_valid for uid in named):
        raise ResultRefused(NOT_UNDERSTOOD, f"An object needs valid UIDs: {', '.join(IDENTITY)}.")
    return dataset


def require_author(person: Person) -> None:
    """Refuse people who neither annotate nor predict.

    Raises
    ------
    PermissionDenied
        With what it takes.
    """
    if not person.may(Action.PREDICT):
        person.require(Action.ANNOTATE)


def check_result(
    connection: Connection, dataset: FileDataset, source: bytes, record: SeriesRecord, header: Header, profile: Profile
) -> None:
    """Refuse what does not belong to a study, or holds what might identify.

    Parameters
    ----------
    connection
        To the index.
    dataset, source
        The object, and the file it came in.
    record
        A series of its study that the sender may see.
    header
        Of an image of that series: what an object took over from it, identifies nobody.
    profile
        What the house treats images by.

    Raises
    ------
    ResultRefused
        Saying what is wrong.
    """
    if dataset.SOPClassUID not in ACCEPTED:
        raise ResultRefused(
            OTHER_CLASS,
            f"{dataset.SOPClassUID.name} is no result: send segmentations, structure sets, structured reports, "
            "secondary captures, parametric maps or presentation states. Images come in through the intake.",
        )
    if str(dataset.get("PatientID") or "") != record.PatientID:
        raise ResultRefused(DOES_NOT_FIT, "PatientID is not the one of the study: take it from its images.")
    if str(dataset.get("PatientName") or "").strip("^ ") not in ("", record.PatientID):
        raise ResultRefused(DOES_NOT_FIT, "PatientName is not the pseudonym of the study's patient: leave it empty.")
    _check_series(connection, dataset)
    known = _list_known(connection, dataset, record)

    def accepts(element: DataElement, above: tuple[str, ...]) -> bool:
        if not above and element.keyword and str(element.value) == read_text(header, element.keyword):
            return True
        if element.VR != "UI":
            return element.keyword in _WORDS | _AUTHORS | _PLACES  # the latter two are written by `seal_result`
        values = element.value if element.VM > 1 else [element.value]
        new = element.keyword in _NEW_UIDS or (element.keyword == "SeriesInstanceUID" and not above)
        return new or known.issuperset(map(str, values))

    breaches = sorted(set(find_header_breaches(dataset, profile, accepts)))
    if breaches:
        raise ResultRefused(DOES_NOT_FIT, "The header may identify somebody: " + " ".join(breaches[:5]))
    if dataset.SOPClassUID in SEGMENTATIONS:
        _check_segmentation(connection, dataset)
    elif dataset.SOPClassUID == uids.RTStructureSetStorage:
        _check_structures(dataset)
    verdict = judge_pixels(dataset, source, ())
    if verdict.outcome != "clean":
        raise ResultRefused(DOES_NOT_FIT, f"The pixels may identify somebody: {verdict.reason}")


def seal_result(dataset: FileDataset, person: Person, header: Header) -> None:
    """Write into an object whose work it is, and that it holds no identity; private attributes go.

    Parameters
    ----------
    dataset
        Changed in place.
    person
        Who made it.
    header
        Of an image of its study, which says how identity was removed.
    """
    with _no_quotes():
        dataset.remove_private_tags()
        for element in dataset.iterall():
            if element.keyword in _AUTHORS and element.value:
                element.value = person.name.replace("^", " ") + "^"  # a family name only
            elif element.keyword in _PLACES and element.value:
                element.value = DUMMIES[element.VR].decode("ascii")
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = read_text(header, "DeidentificationMethod") or "Derived from such images"
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
        dataset.file_meta, dataset.preamble = meta, bytes(128)


def link_result(connection: Connection, dataset: Dataset, person: Person) -> None:
    """Make a SEG the person's next label of the series it was drawn on, and end the lease of that."""
    if dataset.SOPClassUID in SEGMENTATIONS and (drawn_on := find_segmented_series(connection, dataset)):
        uid = str(dataset.SOPInstanceUID)
        add_version(connection, drawn_on, person.name, "dicomweb", uid, list_segments(dataset), None)
        connection.execute(delete(leases).where(leases.c.SeriesInstanceUID == drawn_on))


def require_same(connection: Connection, file: DeidentifiedFile) -> None:
    """Refuse an object under the UID of another one; sent again, the same is welcome.

    Raises
    ------
    ResultRefused
        If the catalog holds other content under its SOPInstanceUID.
    """
    known = select(instances.c.sha256).where(instances.c.SOPInstanceUID == file.SOPInstanceUID)
    if connection.execute(known).scalar() != file.sha256:
        raise ResultRefused(DUPLICATE, "Another object with its SOPInstanceUID is here already: use a new UID.")


def read_header(connection: Connection, record: SeriesRecord) -> Header:
    """Return the header of an image of a series, as DICOM JSON."""
    statement = select(instances.c.header).where(instances.c.SeriesInstanceUID == record.SeriesInstanceUID).limit(1)
    header: Header = connection.execute(statement).scalar_one()
    return header


@lru_cache(maxsize=4)
def load_house_profile(name: str) -> Profile:
    """Return the profile of a name; reading it takes longer than checking an object."""
    return load_profile(name)


def _check_series(connection: Connection, dataset: Dataset) -> None:
    """Refuse an object in a series of another study or another kind: nobody's work is mixed up with an image."""
    columns = (series.c.StudyInstanceUID, series.c.SOPClassUID)
    held = connection.execute(
        select(*columns).where(series.c.SeriesInstanceUID == str(dataset.SeriesInstanceUID))
    ).first()
    if held is not None and tuple(held) != (str(dataset.StudyInstanceUID), str(dataset.SOPClassUID)):
        raise ResultRefused(DOES_NOT_FIT, "Its series is here already and holds something else: use a new UID.")


def _check_segmentation(connection: Connection, dataset: Dataset) -> None:
    drawn_on = find_segmented_series(connection, dataset)
    study = select(series.c.StudyInstanceUID).where(series.c.SeriesInstanceUID == drawn_on)
    if drawn_on is None or connection.execute(study).scalar() != str(dataset.StudyInstanceUID):
        raise ResultRefused(DOES_NOT_FIT, "The segmentation does not say on which series of its study it was drawn.")
    try:
        numbers = [segment["number"] for segment in list_segments(dataset)]
    except (AttributeError, TypeError, ValueError):
        numbers = []
    if not numbers or len(set(numbers)) != len(numbers):
        raise ResultRefused(DOES_NOT_FIT, "The segmentation does not say what its segments are.")


def _check_structures(dataset: Dataset) -> None:
    """Refuse a structure set that cannot be read; that what it refers to is of its study, its UIDs have said."""
    try:
        whole = bool(read_regions(dataset)) and bool(list_images(dataset))
    except (AttributeError, TypeError, ValueError):
        whole = False
    if not whole:
        raise ResultRefused(DOES_NOT_FIT, "The structure set does not say which regions it draws, and on which series.")


def _list_known(connection: Connection, dataset: Dataset, record: SeriesRecord) -> set[str]:
    """Return which of the UIDs in an object are those of its study: new ones refer to nothing outside the house."""
    named = {uid for uid in _list_uids(dataset) if not uid.startswith(OURS)}
    of_study = series.c.StudyInstanceUID == record.StudyInstanceUID
    found = {record.StudyInstanceUID}
    rows = connection.execute(select(series.c.SeriesInstanceUID, series.c.FrameOfReferenceUID).where(of_study))
    found.update(uid for row in rows for uid in row if uid)
    for some in _split(sorted(named - found), 500):
        statement = select(instances.c.SOPInstanceUID).join(
            series, series.c.SeriesInstanceUID == instances.c.SeriesInstanceUID
        )
        found.update(connection.execute(statement.where(of_study, instances.c.SOPInstanceUID.in_(some))).scalars())
    return found


def _list_uids(dataset: Dataset) -> Iterator[str]:
    for element in dataset.iterall():
        if element.VR == "UI" and element.value:
            yield from map(str, element.value if element.VM > 1 else [element.value])


def _split(values: list[str], size: int) -> Iterable[list[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))


@contextmanager
def _no_quotes() -> Iterator[None]:
    """Keep pydicom's warnings, which quote values, out of the log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
