"""The records that travel between index, service and notebook, named as DICOM names them.

All are frozen: a record is a fact as it was read. The same classes validate what the HTTP
client receives, so both transports hand out identical objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from aurelius_catalog.errors import InvalidRequest, NotFound


class Record(BaseModel):
    """Base of all records: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def trust(cls, values: dict[str, Any]) -> Self:
        """Make a record of all its fields as the house's own typed columns hold them.

        Nothing is checked, which is eighty times quicker: a page of a hundred series is hundreds of checks for each.
        """
        record = cls.__new__(cls)
        object.__setattr__(record, "__dict__", values)
        object.__setattr__(record, "__pydantic_fields_set__", set(values))
        object.__setattr__(record, "__pydantic_extra__", None)
        object.__setattr__(record, "__pydantic_private__", None)
        return record


class SeriesRecord(Record):
    """One visible series and the study and patient it belongs to.

    ``site`` and ``projects`` decide who may see it. ``n_frames`` counts frames over all instances; ``revision``
    grows when late instances join; ``flags`` are those of the study.
    """

    SeriesInstanceUID: str
    StudyInstanceUID: str
    PatientID: str
    site: str
    projects: tuple[str, ...]
    Modality: str
    SOPClassUID: str
    PatientSex: str | None = None
    PatientAge: str | None = None
    PatientSize: float | None = None
    PatientWeight: float | None = None
    StudyDate: str | None = None
    StudyTime: str | None = None
    StudyDescription: str | None = None
    TransferSyntaxUID: str | None = None
    SeriesDescription: str | None = None
    SeriesNumber: int | None = None
    SeriesDate: str | None = None
    SeriesTime: str | None = None
    AcquisitionDate: str | None = None
    ProtocolName: str | None = None
    BodyPartExamined: str | None = None
    Laterality: str | None = None
    PatientPosition: str | None = None
    ImageType: str | None = None
    Manufacturer: str | None = None
    ManufacturerModelName: str | None = None
    FrameOfReferenceUID: str | None = None
    Rows: int | None = None
    Columns: int | None = None
    BitsStored: int | None = None
    SamplesPerPixel: int | None = None
    PhotometricInterpretation: str | None = None
    LossyImageCompression: str | None = None
    PixelSpacing: float | None = None
    SliceThickness: float | None = None
    SpacingBetweenSlices: float | None = None
    ContrastBolusAgent: str | None = None
    KVP: float | None = None
    XRayTubeCurrent: float | None = None
    ExposureTime: float | None = None
    CTDIvol: float | None = None
    ConvolutionKernel: str | None = None
    ReconstructionDiameter: float | None = None
    GantryDetectorTilt: float | None = None
    SpiralPitchFactor: float | None = None
    ViewPosition: str | None = None
    MagneticFieldStrength: float | None = None
    RepetitionTime: float | None = None
    EchoTime: float | None = None
    InversionTime: float | None = None
    FlipAngle: float | None = None
    EchoTrainLength: int | None = None
    ScanningSequence: str | None = None
    SequenceVariant: str | None = None
    SequenceName: str | None = None
    MRAcquisitionType: str | None = None
    ReceiveCoilName: str | None = None
    DiffusionBValue: float | None = None
    NumberOfTemporalPositions: int | None = None
    Units: str | None = None
    ReconstructionMethod: str | None = None
    Radiopharmaceutical: str | None = None
    RadionuclideTotalDose: float | None = None
    FrameTime: float | None = None
    TransducerType: str | None = None
    ObjectiveLensPower: float | None = None
    TotalPixelMatrixColumns: int | None = None
    TotalPixelMatrixRows: int | None = None
    SamplingFrequency: float | None = None
    NumberOfWaveformChannels: int | None = None
    SegmentationType: str | None = None
    DoseSummationType: str | None = None
    ContentLabel: str | None = None
    n_instances: int
    n_frames: int
    size_bytes: int
    received_at: datetime
    revision: int = 1
    flags: tuple[str, ...] = ()


class StudyRecord(Record):
    """One visible study, with counts over all of its series."""

    StudyInstanceUID: str
    PatientID: str
    site: str
    projects: tuple[str, ...]
    PatientSex: str | None = None
    PatientAge: str | None = None
    StudyDate: str | None = None
    StudyDescription: str | None = None
    ModalitiesInStudy: tuple[str, ...]
    NumberOfStudyRelatedSeries: int
    NumberOfStudyRelatedInstances: int
    size_bytes: int
    received_at: datetime
    flags: tuple[str, ...] = ()


class InstanceRecord(Record):
    """One file with all a reader needs, so that it never parses a header.

    ``frames`` holds (offset, length) in bytes from the start of the file, one pair per frame;
    empty where the object has no pixel data. Positions and spacings are in mm, patient LPS.
    Where ``media_type`` is not ``application/dicom`` the file is a clean slide or NIfTI volume in its own format:
    it has no frames, and ``TransferSyntaxUID`` says nothing.

    ``per_frame`` maps DICOM keywords to what the header says of its frames: a list of one value where all frames
    have the same, else of one value per frame (`frame_attributes.read_per_frame`).
    """

    SOPInstanceUID: str
    SeriesInstanceUID: str
    SOPClassUID: str
    InstanceNumber: int | None = None
    path: str
    sha256: str
    size_bytes: int
    TransferSyntaxUID: str
    Rows: int | None = None
    Columns: int | None = None
    SamplesPerPixel: int | None = None
    PhotometricInterpretation: str | None = None
    BitsAllocated: int | None = None
    BitsStored: int | None = None
    PixelRepresentation: int | None = None
    PlanarConfiguration: int | None = None
    RescaleSlope: float | None = None
    RescaleIntercept: float | None = None
    ImagePositionPatient: tuple[float, float, float] | None = None
    ImageOrientationPatient: tuple[float, float, float, float, float, float] | None = None
    PixelSpacing: tuple[float, float] | None = None
    SliceThickness: float | None = None
    NumberOfFrames: int | None = None
    per_frame: dict[str, list[Any]] = Field(default_factory=dict)
    frames: tuple[tuple[int, int], ...] = ()
    media_type: str = "application/dicom"
    revision: int = 1


class SlideLevel(Record):
    """One resolution of a slide; ``downsample`` is how many pixels of level 0 one of its pixels stands for."""

    width: int
    height: int
    downsample: float


class SlideRecord(Record):
    """A slide: its levels, finest first, and how large a pixel of level 0 is, where the slide says so.

    ``mpp_x`` and ``mpp_y`` are micrometres per pixel. ``tile_px`` and ``overlap_px`` are those of its DeepZoom tiles.
    ``origin_mm`` and ``ImageOrientationSlide`` place level 0 on the glass: x and y of its first pixel, and the cosines
    of its rows and columns (PS3.3 section C.8.12.4).
    """

    SeriesInstanceUID: str
    vendor: str
    levels: tuple[SlideLevel, ...]
    tile_px: int
    overlap_px: int
    mpp_x: float | None = None
    mpp_y: float | None = None
    objective_power: float | None = None
    origin_mm: tuple[float, float] | None = None
    ImageOrientationSlide: tuple[float, ...] | None = None

    @property
    def mpp(self) -> tuple[float, float]:
        """Micrometres per pixel of level 0, along x and y.

        Raises
        ------
        InvalidRequest
            If the slide does not say.
        """
        if self.mpp_x is None or self.mpp_y is None:
            raise InvalidRequest(
                "This slide does not say how large its pixels are: read it by pixels, with `read_pixels`."
            )
        return self.mpp_x, self.mpp_y

    def get_level(self, number: int) -> SlideLevel:
        """Return one level, 0 being the finest.

        Raises
        ------
        NotFound
            If there is none with this number.
        """
        if not 0 <= number < len(self.levels):
            raise NotFound(f"This slide has levels 0 to {len(self.levels) - 1}; there is no level {number}.")
        return self.levels[number]

    def scale(self, number: int) -> tuple[float, float]:
        """Return how many pixels of level 0 a pixel of a level covers, along x and y."""
        level, finest = self.get_level(number), self.levels[0]
        return finest.width / level.width, finest.height / level.height

    def choose_level(self, downsample: float) -> int:
        """Return the coarsest level that is at least as fine as wanted."""
        fine = [number for number, level in enumerate(self.levels) if level.downsample <= downsample * 1.01]
        return max(fine, default=0, key=lambda number: self.levels[number].downsample)


class Segment(Record):
    """One labelled structure: voxel value ``number`` in the label map means ``label``."""

    number: int
    label: str


def name_segments(labels: Sequence[str]) -> tuple[Segment, ...]:
    """Return segments with these labels, numbered from 1."""
    return tuple(Segment(number=number, label=label) for number, label in enumerate(labels, start=1))


class AnnotationRecord(Record):
    """One immutable version of a person's (or an imported) label of a series.

    The label itself is the DICOM SEG ``SOPInstanceUID``. ``version`` counts from 1 per series;
    ``origin`` says which way it came: ``slicer``, ``notebook``, ``dicomweb`` or ``intake``.
    """

    id: int
    SeriesInstanceUID: str
    version: int
    author: str
    origin: str
    SOPInstanceUID: str
    segments: tuple[Segment, ...]
    comment: str | None = None
    created_at: datetime


class PredictionRecord(Record):
    """What a model found in a series.

    ``confidence`` and ``uncertainty`` lie in 0..1. ``requires_review`` stays true until a person with
    the right role decides. ``SOPInstanceUID`` names the SEG of the finding, where there is one.
    """

    id: int
    SeriesInstanceUID: str
    model: str
    model_hash: str
    finding: str
    volume_mm3: float
    confidence: float
    uncertainty: float
    requires_review: bool
    SOPInstanceUID: str | None = None
    segments: tuple[Segment, ...] = ()
    created_at: datetime


class LeaseRecord(Record):
    """A series that a person is labelling, so that nobody else is given it before ``until``."""

    SeriesInstanceUID: str
    person: str
    until: datetime


class NewPrediction(Record):
    """What a model reports, before the index gives it an id (see `PredictionRecord`)."""

    model: str
    model_hash: str
    finding: str
    volume_mm3: float = Field(ge=0)
    confidence: float = Field(ge=0, le=1)
    uncertainty: float = Field(ge=0, le=1)
    segments: tuple[Segment, ...] = ()


class DecisionAction(StrEnum):
    """What a person can say to a prediction."""

    ACCEPT = "accept"
    OVERRIDE = "override"


class DecisionRecord(Record):
    """A person's word on a prediction."""

    id: int
    prediction_id: int
    person: str
    action: DecisionAction
    comment: str
    created_at: datetime


class DatasetRecord(Record):
    """A frozen, citable list of series; ``id`` is the hash of its content, whatever it is called.

    It holds the files and label versions that were there when it was frozen (see `DatasetObject`). ``profiles`` are
    name and SHA-256 of the de-identification profiles; ``withdrawn`` are those of its series whose patient was
    withdrawn since: they stay listed, their images are gone.
    """

    id: str
    name: str
    created_by: str
    created_at: datetime
    SeriesInstanceUIDs: tuple[str, ...]
    withdrawn: tuple[str, ...] = ()
    n_instances: int = 0
    n_labels: int = 0
    size_bytes: int = 0
    profiles: tuple[tuple[str, str], ...] = ()

    @property
    def citation(self) -> str:
        """How to cite it."""
        return f"Dataset {self.name!r}, {self.created_at:%Y-%m-%d}, aurelius:sha256:{self.id}"

    @property
    def remaining(self) -> tuple[str, ...]:
        """The series that can still be opened."""
        return tuple(uid for uid in self.SeriesInstanceUIDs if uid not in set(self.withdrawn))


class DatasetObject(Record):
    """One file of a frozen dataset, by its hash.

    ``role`` is ``image`` for a file of the series, ``label`` for the DICOM SEG of a label version drawn on it, which
    then has ``version`` and ``segments``. ``withdrawn`` ones are gone; their hash still belongs to the dataset's id.
    """

    SeriesInstanceUID: str
    SOPInstanceUID: str
    role: Literal["image", "label"]
    sha256: str
    size_bytes: int
    version: int | None = None
    segments: tuple[Segment, ...] = ()
    withdrawn: bool = False


class DatasetCheck(Record):
    """What re-reading one series of a frozen dataset found; the tuples hold SOPInstanceUIDs.

    ``intact`` files are, byte by byte, those that were frozen; ``changed`` ones are not, ``missing`` ones are not on
    disk, ``withdrawn`` ones went with their patient, as they must.
    """

    SeriesInstanceUID: str
    intact: int
    size_bytes: int
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()


class WorklistRow(Record):
    """One line of a clinician's worklist: a prediction, its series, and the latest decision."""

    prediction: PredictionRecord
    series: SeriesRecord
    decision: DecisionRecord | None = None
