"""what people drew on a series and models found there, in its own row, and indexes that hold what is asked together.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

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
DESCRIBED = ("ManufacturerModelName", "SeriesDescription", "StudyDescription", "ProtocolName")
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
BY_SCOPE = ["scope", "Modality", "BodyPartExamined", "StudyDate", "id"]
BESIDE_SCOPE = ["PatientAge", "SliceThickness", "ManufacturerModelName", "EchoTime"]

series = sa.table("series", *map(sa.column, ("SeriesInstanceUID", "labelled", "predicted")))
labels = sa.table("annotations", sa.column("SeriesInstanceUID"), sa.column("segments", sa.JSON()))
predictions = sa.table("predictions", *map(sa.column, ("SeriesInstanceUID", "model", "finding")))


def upgrade() -> None:
    """Apply the change."""
    for name in ("labelled", "predicted"):
        op.add_column("series", sa.Column(name, sa.Text()))
    connection = op.get_bind()
    drawn, found = defaultdict(list), defaultdict(list)
    for uid, segments in connection.execute(sa.select(labels)):
        drawn[uid].append([segment["label"].casefold() for segment in segments])
    for uid, model, finding in connection.execute(sa.select(predictions)):
        found[uid].append([model, finding])
    for name, said in (("labelled", drawn), ("predicted", found)):
        this = series.c.SeriesInstanceUID == sa.bindparam("uid")
        rows = [{"uid": uid, "names": _spell(remarks)} for uid, remarks in said.items()]
        if rows:
            connection.execute(sa.update(series).where(this).values({name: sa.bindparam("names")}), rows)
        present = sa.column(name).is_not(None)
        columns = ["scope", "Modality", "id"]
        op.create_index(f"ix_series_{name}", "series", columns, sqlite_where=present, postgresql_where=present)
    _index([*BY_SCOPE, *BESIDE_SCOPE], ["scope"])


def _index(by_scope: list[str], beside: list[str]) -> None:
    """Make the indexes of attributes anew, with other attributes beside theirs."""
    for name in ("scope", *INDEXED, *INDEXED_WHERE_PRESENT):
        op.drop_index(f"ix_series_{name}", "series")
    op.create_index("ix_series_scope", "series", by_scope)
    for name in INDEXED:
        kind = {name: "text_pattern_ops"} if name in DESCRIBED else {}
        op.create_index(f"ix_series_{name}", "series", [name, "id", *beside], postgresql_ops=kind)
    for name in INDEXED_WHERE_PRESENT:
        present = sa.column(name).is_not(None)
        columns = [name, "id", *beside]
        op.create_index(f"ix_series_{name}", "series", columns, sqlite_where=present, postgresql_where=present)


def _spell(remarks: Iterable[Iterable[str]]) -> str:
    return json.dumps(sorted({name for remark in remarks for name in remark}))


def downgrade() -> None:
    """Take the change back."""
    _index(BY_SCOPE, [])
    for name in ("labelled", "predicted"):
        op.drop_index(f"ix_series_{name}", "series")
        op.execute(f"ALTER TABLE series DROP COLUMN {name}")
