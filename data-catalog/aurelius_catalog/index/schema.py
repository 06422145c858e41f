"""The tables of the index (SQLAlchemy Core; SQLite or PostgreSQL). Alembic keeps them current.

A series row exists only when the whole series is on disk: it is inserted, with its instances, in one
transaction after every file was synced. That is what "visible" means.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class Moment(TypeDecorator[datetime]):
    """A point in time in UTC; SQLite forgets the zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Return an aware datetime."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
UID = String(64)  # PS3.5 section 9.1: at most 64 characters

studies = Table(
    "studies",
    metadata,
    Column("StudyInstanceUID", UID, primary_key=True),
    Column("PatientID", String(64), nullable=False, index=True),
    Column("site", String(64), nullable=False, index=True),
    Column("scope", Integer, nullable=False, server_default="0"),  # who may see it: `scopes`
    Column("PatientSex", String(16)),
    Column("PatientAge", String(4)),
    Column("PatientSize", Float),
    Column("PatientWeight", Float),
    Column("StudyDate", String(8)),
    Column("StudyTime", String(16)),
    Column("StudyDescription", String(64)),
    Column("flags", JSON, nullable=False, server_default="[]"),  # what a steward should know, such as "face"
)

# Studies of one site and one set of projects have one scope: a few hundred numbers decide who sees a million series.
scopes = Table(
    "scopes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(64), nullable=False, index=True),
)

scope_projects = Table(
    "scope_projects",
    metadata,
    Column("scope", Integer, ForeignKey("scopes.id"), primary_key=True),
    Column("project", String(64), primary_key=True, index=True),
)

series = Table(
    "series",
    metadata,
    Column("SeriesInstanceUID", UID, primary_key=True),
    Column("StudyInstanceUID", UID, ForeignKey("studies.StudyInstanceUID"), nullable=False, index=True),
    Column("id", Integer, nullable=False, server_default="0"),  # counts up as series arrive; answers come in its order
    Column("scope", Integer, nullable=False, server_default="0"),  # the study's, as is what follows: one look-up less
    Column("PatientID", String(64), nullable=False, server_default=""),
    Column("PatientSex", String(16)),
    Column("PatientAge", String(4)),
    Column("PatientSize", Float),
    Column("PatientWeight", Float),
    Column("StudyDate", String(8)),
    Column("StudyTime", String(16)),
    Column("StudyDescription", String(64)),
    Column("Modality", String(16), nullable=False),
    Column("SOPClassUID", UID, nullable=False),
    Column("TransferSyntaxUID", UID),
    Column("SeriesDescription", String(64)),
    Column("SeriesNumber", Integer),
    Column("SeriesDate", String(8)),
    Column("SeriesTime", String(16)),
    Column("AcquisitionDate", String(8)),
    Column("ProtocolName", String(64)),
    Column("BodyPartExamined", String(16)),
    Column("Laterality", String(16)),
    Column("PatientPosition", String(16)),
    Column("ImageType", String(255)),
    Column("Manufacturer", String(64)),
    Column("ManufacturerModelName", String(64)),
    Column("FrameOfReferenceUID", UID),
    Column("Rows", Integer),
    Column("Columns", Integer),
    Column("BitsStored", Integer),
    Column("SamplesPerPixel", Integer),
    Column("PhotometricInterpretation", String(16)),
    Column("LossyImageCompression", String(16)),
    Column("PixelSpacing", Float),  # between rows, mm
    Column("SliceThickness", Float),
    Column("SpacingBetweenSlices", Float),
    Column("ContrastBolusAgent", String(64)),
    # CT and X-ray
    Column("KVP", Float),
    Column("XRayTubeCurrent", Float),
    Column("ExposureTime", Float),
    Column("CTDIvol", Float),
    Column("ConvolutionKernel", String(64)),
    Column("ReconstructionDiameter", Float),
    Column("GantryDetectorTilt", Float),
    Column("SpiralPitchFactor", Float),
    Column("ViewPosition", String(16)),
    # MR
    Column("MagneticFieldStrength", Float),
    Column("RepetitionTime", Float),
    Column("EchoTime", Float),
    Column("InversionTime", Float),
    Column("FlipAngle", Float),
    Column("EchoTrainLength", Integer),
    Column("ScanningSequence", String(64)),
    Column("SequenceVariant", String(64)),
    Column("SequenceName", String(16)),
    Column("MRAcquisitionType", String(16)),
    Column("ReceiveCoilName", String(16)),
    Column("DiffusionBValue", Float),
    Column("NumberOfTemporalPositions", Integer),
    # PET
    Column("Units", String(16)),
    Column("ReconstructionMethod", String(64)),
    Column("Radiopharmaceutical", String(64)),
    Column("RadionuclideTotalDose", Float),
    # ultrasound and other moving pictures
    Column("FrameTime", Float),
    Column("TransducerType", String(16)),
    # slides
    Column("ObjectiveLensPower", Float),
    Column("TotalPixelMatrixColumns", Integer),
    Column("TotalPixelMatrixRows", Integer),
    # waveforms
    Column("SamplingFrequency", Float),
    Column("NumberOfWaveformChannels", Integer),
    # what is drawn or measured on images
    Column("SegmentationType", String(16)),
    Column("DoseSummationType", String(16)),
    Column("ContentLabel", String(16)),
    Column("words", Text, nullable=False, server_default=""),  # of the descriptions: `search.words`
    Column("labelled", Text),  # what people drew on it, and what models found: names as JSON (`remarks`), or nothing
    Column("predicted", Text),
    Column("n_instances", Integer, nullable=False),
    Column("n_frames", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),  # grows by one when late instances join
)

#: Attributes that many series have and many searches ask for.
INDEXED = (
    "PatientID",
    "PatientAge",
    "SOPClassUID",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
    "StudyDate",
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "FrameOfReferenceUID",
    "received_at",
)
#: Those that are often asked for by their first letters.
DESCRIBED = ("ManufacturerModelName", "SeriesDescription", "StudyDescription", "ProtocolName")
#: Attributes of few series, and of those only: their indexes cost the others nothing.
INDEXED_WHERE_PRESENT = (
    "SliceThickness",
    "PixelSpacing",
    "KVP",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "MagneticFieldStrength",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "SequenceName",
    "DiffusionBValue",
    "Radiopharmaceutical",
    "ObjectiveLensPower",
    "SamplingFrequency",
    "SegmentationType",
)
Index("ix_series_id", series.c.id, unique=True)
#: Who sees few series finds them by their scopes; whatever else is asked of many stands in the same index.
BY_SCOPE = ("scope", "Modality", "BodyPartExamined", "StudyDate")
BESIDE_SCOPE = ("PatientAge", "SliceThickness", "ManufacturerModelName", "EchoTime")
#: Attributes of few series that tell whether people or models said anything; their indexes hold what most ask besides.
RESULTS = ("labelled", "predicted")
BESIDE_RESULTS = ("scope", "Modality")
#: What every index of an attribute holds besides: most people see few of the series, and need not look at the others.
BESIDE = ("scope",)
Index("ix_series_scope", *(series.c[_name] for _name in (*BY_SCOPE, "id", *BESIDE_SCOPE)))
for _name in RESULTS:
    _present = series.c[_name].is_not(None)
    _columns = [series.c[each] for each in (*BESIDE_RESULTS, "id")]
    Index(f"ix_series_{_name}", *_columns, sqlite_where=_present, postgresql_where=_present)
Index("ix_series_Modality", series.c.Modality, series.c.BodyPartExamined, series.c.id)
for _name in INDEXED:
    _kind = {_name: "text_pattern_ops"} if _name in DESCRIBED else {}
    Index(f"ix_series_{_name}", *(series.c[each] for each in (_name, "id", *BESIDE)), postgresql_ops=_kind)
for _name in INDEXED_WHERE_PRESENT:
    _present = series.c[_name].is_not(None)
    _columns = [series.c[each] for each in (_name, "id", *BESIDE)]
    Index(f"ix_series_{_name}", *_columns, sqlite_where=_present, postgresql_where=_present)

instances = Table(
    "instances",
    metadata,
    Column("SOPInstanceUID", UID, primary_key=True),
    Column("SeriesInstanceUID", UID, ForeignKey("series.SeriesInstanceUID"), nullable=False, index=True),
    Column("SOPClassUID", UID, nullable=False),
    Column("InstanceNumber", Integer),
    Column("path", String(255), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("TransferSyntaxUID", UID, nullable=False),
    Column("Rows", Integer),
    Column("Columns", Integer),
    Column("SamplesPerPixel", Integer),
    Column("PhotometricInterpretation", String(16)),
    Column("BitsAllocated", Integer),
    Column("BitsStored", Integer),
    Column("PixelRepresentation", Integer),
    Column("PlanarConfiguration", Integer),
    Column("RescaleSlope", Float),
    Column("RescaleIntercept", Float),
    Column("ImagePositionPatient", JSON),
    Column("ImageOrientationPatient", JSON),
    Column("PixelSpacing", JSON),
    Column("SliceThickness", Float),
    Column("NumberOfFrames", Integer),
    Column("per_frame", JSON, nullable=False, server_default="{}"),  # see `frame_attributes.read_per_frame`
    Column("frames", JSON, nullable=False),
    Column("media_type", String(64), nullable=False, server_default="application/dicom"),
    Column("revision", Integer, nullable=False, server_default="1"),  # of the series, when this instance came
    Column("deidentification", JSON),  # which profile did what to it: names and counts, no values
    Column("header", JSON, nullable=False),  # the attributes searched less often, as DICOM JSON (PS3.18 F)
)

annotation_versions = Table(
    "annotations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("SeriesInstanceUID", UID, ForeignKey("series.SeriesInstanceUID"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("author", String(255), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("SOPInstanceUID", UID, ForeignKey("instances.SOPInstanceUID"), nullable=False),
    Column("segments", JSON, nullable=False),
    Column("comment", Text),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("SeriesInstanceUID", "version"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("SeriesInstanceUID", UID, ForeignKey("series.SeriesInstanceUID"), nullable=False, index=True),
    Column("model", String(255), nullable=False),
    Column("model_hash", String(64), nullable=False),
    Column("finding", Text, nullable=False),
    Column("volume_mm3", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("requires_review", Boolean, nullable=False),
    Column("SOPInstanceUID", UID, ForeignKey("instances.SOPInstanceUID")),
    Column("segments", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("prediction_id", Integer, ForeignKey("predictions.id"), nullable=False, index=True),
    Column("person", String(255), nullable=False),
    Column("action", String(16), nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(64), primary_key=True),  # the hash of what it holds: `datasets.content`
    Column("profiles", JSON, nullable=False, server_default="[]"),  # of the de-identification: [name, sha256] each
    Column("n_instances", Integer, nullable=False, server_default="0"),
    Column("n_labels", Integer, nullable=False, server_default="0"),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Moment, nullable=False),
)

dataset_names = Table(
    "dataset_names",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_id", String(64), ForeignKey("datasets.id"), nullable=False),
    Column("name", String(255), nullable=False, index=True),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("dataset_id", "name"),
)

dataset_objects = Table(
    "dataset_objects",
    metadata,
    Column("dataset_id", String(64), ForeignKey("datasets.id"), primary_key=True),
    Column("SeriesInstanceUID", UID, primary_key=True),  # of a label: the series it was drawn on
    Column("SOPInstanceUID", UID, primary_key=True),
    Column("role", String(16), nullable=False),  # image, label
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,  # the key is half of the row: kept once
)

dataset_series = Table(
    "dataset_series",
    metadata,
    Column("dataset_id", String(64), ForeignKey("datasets.id"), primary_key=True),
    Column("SeriesInstanceUID", UID, primary_key=True),  # outlives the series: a withdrawal is told, not hidden
    Column("n_instances", Integer, nullable=False, server_default="0"),  # as it was then, as are the next two
    Column("n_frames", Integer, nullable=False, server_default="0"),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    Column("withdrawn_at", Moment),
)

leases = Table(
    "leases",
    metadata,
    Column("SeriesInstanceUID", UID, ForeignKey("series.SeriesInstanceUID"), primary_key=True),
    Column("person", String(255), nullable=False),
    Column("until", Moment, nullable=False),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("person", String(255), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", String(255), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)

Index("ix_audit_events_object", audit_events.c.object)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("at", Moment, nullable=False),
    Column("public_key", String(64), nullable=False),
    Column("signature", String(128), nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", Integer, nullable=False),  # the last one removed because its time was over
    Column("hash", String(64), nullable=False),  # of that event: what the first one left is chained to
    Column("at", Moment, nullable=False),
    Column("public_key", String(64), nullable=False),
    Column("signature", String(128), nullable=False),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),  # patient, study, series, instance
    Column("uid", String(64), nullable=False, index=True),
    Column("PatientID", String(64), nullable=False, index=True),
    Column("withdrawn_at", Moment, nullable=False),
    Column("withdrawn_by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
)
