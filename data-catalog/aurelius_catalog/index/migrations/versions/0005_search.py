"""attributes to search by, who may see what in numbers, words of descriptions, and indexes for a million series.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

from aurelius_catalog.index.series_attributes import join_words, read_series_attributes

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

#: New attributes of series: texts with their longest length, whole numbers, numbers.
TEXTS = {
    "TransferSyntaxUID": 64,
    "SeriesDate": 8,
    "SeriesTime": 16,
    "AcquisitionDate": 8,
    "ProtocolName": 64,
    "Laterality": 16,
    "PatientPosition": 16,
    "ImageType": 255,
    "PhotometricInterpretation": 16,
    "LossyImageCompression": 16,
    "ContrastBolusAgent": 64,
    "ConvolutionKernel": 64,
    "ViewPosition": 16,
    "ScanningSequence": 64,
    "SequenceVariant": 64,
    "SequenceName": 16,
    "MRAcquisitionType": 16,
    "ReceiveCoilName": 16,
    "Units": 16,
    "ReconstructionMethod": 64,
    "Radiopharmaceutical": 64,
    "TransducerType": 16,
    "SegmentationType": 16,
    "DoseSummationType": 16,
    "ContentLabel": 16,
}
WHOLE = (
    "BitsStored",
    "SamplesPerPixel",
    "EchoTrainLength",
    "NumberOfTemporalPositions",
    "TotalPixelMatrixColumns",
    "TotalPixelMatrixRows",
    "NumberOfWaveformChannels",
)
NUMBERS = (
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "KVP",
    "XRayTubeCurrent",
    "ExposureTime",
    "CTDIvol",
    "ReconstructionDiameter",
    "GantryDetectorTilt",
    "SpiralPitchFactor",
    "MagneticFieldStrength",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "DiffusionBValue",
    "RadionuclideTotalDose",
    "FrameTime",
    "ObjectiveLensPower",
    "SamplingFrequency",
)
#: What series have from their study.
OF_STUDY = (
    "scope",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
)
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
DESCRIBED = (
    "ManufacturerModelName",
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
)
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
WORDS_SQLITE = (
    """CREATE VIRTUAL TABLE series_words USING fts5(
        words, content='series', content_rowid='id', detail='none', columnsize=0)""",
    """CREATE TRIGGER series_words_insert AFTER INSERT ON series BEGIN
        INSERT INTO series_words(rowid, words) VALUES (new.id, new.words); END""",
    """CREATE TRIGGER series_words_delete AFTER DELETE ON series BEGIN
        INSERT INTO series_words(series_words, rowid, words) VALUES ('delete', old.id, old.words); END""",
    """CREATE TRIGGER series_words_update AFTER UPDATE OF id, words ON series BEGIN
        INSERT INTO series_words(series_words, rowid, words) VALUES ('delete', old.id, old.words);
        INSERT INTO series_words(rowid, words) VALUES (new.id, new.words); END""",
    "INSERT INTO series_words(series_words) VALUES ('rebuild')",
)
WORDS_POSTGRESQL = "CREATE INDEX ix_series_words ON series USING gin (array_to_tsvector(string_to_array(words, ' ')))"

studies = sa.table("studies", sa.column("StudyInstanceUID"), sa.column("site"), *map(sa.column, OF_STUDY))
series = sa.table(
    "series",
    sa.column("SeriesInstanceUID"),
    sa.column("StudyInstanceUID"),
    sa.column("SeriesDescription"),
    sa.column("BodyPartExamined"),
    sa.column("received_at"),
    sa.column("id"),
    sa.column("words"),
    *map(sa.column, (*OF_STUDY, *TEXTS, *WHOLE, *NUMBERS)),
)
instances = sa.table(
    "instances",
    sa.column("SeriesInstanceUID"),
    sa.column("InstanceNumber"),
    sa.column("SOPInstanceUID"),
    sa.column("TransferSyntaxUID"),
    sa.column("header", sa.JSON),
)
study_projects = sa.table("study_projects", sa.column("StudyInstanceUID"), sa.column("project"))


def upgrade() -> None:
    """Apply the change."""
    connection = op.get_bind()
    _add_scopes(connection)
    _add_columns()
    _number_series(connection)
    _fill_series(connection)
    op.drop_index(op.f("ix_series_Modality"), "series")
    op.drop_index(op.f("ix_series_BodyPartExamined"), "series")
    _add_indexes()
    for statement in WORDS_SQLITE if connection.dialect.name == "sqlite" else (WORDS_POSTGRESQL,):
        connection.exec_driver_sql(statement)


def _add_scopes(connection: sa.Connection) -> None:
    scopes = op.create_table(
        "scopes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scopes")),
    )
    op.create_index(op.f("ix_scopes_site"), "scopes", ["site"])
    members = op.create_table(
        "scope_projects",
        sa.Column("scope", sa.Integer(), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["scope"], ["scopes.id"], name=op.f("fk_scope_projects_scope")),
        sa.PrimaryKeyConstraint("scope", "project", name=op.f("pk_scope_projects")),
    )
    op.create_index(op.f("ix_scope_projects_project"), "scope_projects", ["project"])
    op.add_column("studies", sa.Column("scope", sa.Integer(), nullable=False, server_default="0"))
    projects: dict[str, set[str]] = defaultdict(set)
    for uid, project in connection.execute(sa.select(study_projects)):
        projects[uid].add(project)
    known: dict[tuple[str, frozenset[str]], int] = {}
    for uid, site in connection.execute(sa.select(studies.c.StudyInstanceUID, studies.c.site)).all():
        wanted = (site, frozenset(projects[uid]))
        if wanted not in known:
            made = sa.insert(scopes).values(site=site).returning(scopes.c.id)
            known[wanted] = connection.execute(made).scalar_one()
            for project in sorted(wanted[1]):
                connection.execute(sa.insert(members).values(scope=known[wanted], project=project))
        this = studies.c.StudyInstanceUID == uid
        connection.execute(sa.update(studies).where(this).values(scope=known[wanted]))
    op.drop_table("study_projects")


def _add_columns() -> None:
    for name in ("PatientSize", "PatientWeight"):
        op.add_column("studies", sa.Column(name, sa.Float()))
    op.add_column("studies", sa.Column("StudyTime", sa.String(length=16)))
    of_study: list[sa.Column[Any]] = [
        sa.Column("id", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("scope", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("PatientID", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("PatientSex", sa.String(length=16)),
        sa.Column("PatientAge", sa.String(length=4)),
        sa.Column("PatientSize", sa.Float()),
        sa.Column("PatientWeight", sa.Float()),
        sa.Column("StudyDate", sa.String(length=8)),
        sa.Column("StudyTime", sa.String(length=16)),
        sa.Column("StudyDescription", sa.String(length=64)),
        sa.Column("words", sa.Text(), nullable=False, server_default=""),
    ]
    own: list[sa.Column[Any]] = [
        *[sa.Column(name, sa.String(length=longest)) for name, longest in TEXTS.items()],
        *[sa.Column(name, sa.Integer()) for name in WHOLE],
        *[sa.Column(name, sa.Float()) for name in NUMBERS],
    ]
    for column in (*of_study, *own):
        op.add_column("series", column)


def _number_series(connection: sa.Connection) -> None:
    arrived = sa.select(series.c.SeriesInstanceUID).order_by(series.c.received_at, series.c.SeriesInstanceUID)
    for number, uid in enumerate(connection.execute(arrived).scalars().all(), 1):
        connection.execute(sa.update(series).where(series.c.SeriesInstanceUID == uid).values(id=number))


def _fill_series(connection: sa.Connection) -> None:
    """Read the new attributes from the header of each series' first instance, and the study's from the study."""
    for uid, StudyInstanceUID in connection.execute(
        sa.select(series.c.SeriesInstanceUID, series.c.StudyInstanceUID)
    ).all():
        first = (
            sa.select(instances.c.TransferSyntaxUID, instances.c.header)
            .where(instances.c.SeriesInstanceUID == uid)
            .order_by(instances.c.InstanceNumber, instances.c.SOPInstanceUID)
            .limit(1)
        )
        found = connection.execute(first).first()
        read = read_series_attributes(found.header) if found else {}
        for_study = {name: read.get(name) for name in ("PatientSize", "PatientWeight", "StudyTime")}
        this = studies.c.StudyInstanceUID == StudyInstanceUID
        connection.execute(sa.update(studies).where(this).values(**for_study))
        study = connection.execute(sa.select(*[studies.c[name] for name in OF_STUDY]).where(this)).mappings().one()
        mine = series.c.SeriesInstanceUID == uid
        values = {name: read.get(name) for name in (*TEXTS, *WHOLE, *NUMBERS)} | dict(study)
        values["TransferSyntaxUID"] = found.TransferSyntaxUID if found else None
        kept = sa.select(series.c.SeriesDescription, series.c.BodyPartExamined).where(mine)
        values["words"] = join_words({**connection.execute(kept).mappings().one(), **values})
        connection.execute(sa.update(series).where(mine).values(**values))


def _add_indexes() -> None:
    op.create_index("ix_series_id", "series", ["id"], unique=True)
    op.create_index("ix_series_scope", "series", ["scope", "Modality", "BodyPartExamined", "StudyDate", "id"])
    op.create_index("ix_series_Modality", "series", ["Modality", "BodyPartExamined", "id"])
    for name in INDEXED:
        # In PostgreSQL only an index of this kind finds what begins with some letters, whatever the language.
        kind = {name: "text_pattern_ops"} if name in DESCRIBED else {}
        op.create_index(f"ix_series_{name}", "series", [name, "id"], postgresql_ops=kind)
    for name in INDEXED_WHERE_PRESENT:
        present = sa.column(name).is_not(None)
        op.create_index(f"ix_series_{name}", "series", [name, "id"], sqlite_where=present, postgresql_where=present)


def downgrade() -> None:
    """Take the change back."""
    connection = op.get_bind()
    projects = op.create_table(
        "study_projects",
        sa.Column("StudyInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["StudyInstanceUID"], ["studies.StudyInstanceUID"], name=op.f("fk_study_projects_StudyInstanceUID")
        ),
        sa.PrimaryKeyConstraint("StudyInstanceUID", "project", name=op.f("pk_study_projects")),
    )
    op.create_index(op.f("ix_study_projects_project"), "study_projects", ["project"])
    members = sa.table("scope_projects", sa.column("scope"), sa.column("project"))
    belonging = sa.select(studies.c.StudyInstanceUID, members.c.project).join(
        members, members.c.scope == studies.c.scope
    )
    connection.execute(sa.insert(projects).from_select(["StudyInstanceUID", "project"], belonging))
    if connection.dialect.name == "sqlite":
        for name in ("insert", "delete", "update"):
            connection.exec_driver_sql(f"DROP TRIGGER series_words_{name}")
        op.drop_table("series_words")
    else:
        op.drop_index("ix_series_words", "series")
    for name in ("id", "scope", "Modality", *INDEXED, *INDEXED_WHERE_PRESENT):
        op.drop_index(f"ix_series_{name}", "series")
    for name in ("id", "words", *OF_STUDY, *TEXTS, *WHOLE, *NUMBERS):
        op.drop_column("series", name)
    for name in ("scope", "PatientSize", "PatientWeight", "StudyTime"):
        op.drop_column("studies", name)
    op.create_index(op.f("ix_series_Modality"), "series", ["Modality"])
    op.create_index(op.f("ix_series_BodyPartExamined"), "series", ["BodyPartExamined"])
    op.drop_table("scope_projects")
    op.drop_table("scopes")
