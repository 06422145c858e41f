"""the first tables.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("object", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_events_hash")),
    )
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.create_index("ix_audit_events_object", ["object"], unique=False)

    op.create_table(
        "datasets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
    )
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_datasets_name"), ["name"], unique=False)

    op.create_table(
        "studies",
        sa.Column("StudyInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("PatientID", sa.String(length=64), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("PatientSex", sa.String(length=16), nullable=True),
        sa.Column("PatientAge", sa.String(length=4), nullable=True),
        sa.Column("StudyDate", sa.String(length=8), nullable=True),
        sa.Column("StudyDescription", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("StudyInstanceUID", name=op.f("pk_studies")),
    )
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_studies_PatientID"), ["PatientID"], unique=False)
        batch_op.create_index(batch_op.f("ix_studies_site"), ["site"], unique=False)

    op.create_table(
        "series",
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("StudyInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("Modality", sa.String(length=16), nullable=False),
        sa.Column("SOPClassUID", sa.String(length=64), nullable=False),
        sa.Column("SeriesDescription", sa.String(length=64), nullable=True),
        sa.Column("SeriesNumber", sa.Integer(), nullable=True),
        sa.Column("BodyPartExamined", sa.String(length=16), nullable=True),
        sa.Column("Manufacturer", sa.String(length=64), nullable=True),
        sa.Column("ManufacturerModelName", sa.String(length=64), nullable=True),
        sa.Column("FrameOfReferenceUID", sa.String(length=64), nullable=True),
        sa.Column("Rows", sa.Integer(), nullable=True),
        sa.Column("Columns", sa.Integer(), nullable=True),
        sa.Column("n_instances", sa.Integer(), nullable=False),
        sa.Column("n_frames", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["StudyInstanceUID"], ["studies.StudyInstanceUID"], name=op.f("fk_series_StudyInstanceUID")
        ),
        sa.PrimaryKeyConstraint("SeriesInstanceUID", name=op.f("pk_series")),
    )
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_series_BodyPartExamined"), ["BodyPartExamined"], unique=False)
        batch_op.create_index(batch_op.f("ix_series_Modality"), ["Modality"], unique=False)
        batch_op.create_index(batch_op.f("ix_series_StudyInstanceUID"), ["StudyInstanceUID"], unique=False)

    op.create_table(
        "study_projects",
        sa.Column("StudyInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["StudyInstanceUID"], ["studies.StudyInstanceUID"], name=op.f("fk_study_projects_StudyInstanceUID")
        ),
        sa.PrimaryKeyConstraint("StudyInstanceUID", "project", name=op.f("pk_study_projects")),
    )
    with op.batch_alter_table("study_projects", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_study_projects_project"), ["project"], unique=False)

    op.create_table(
        "dataset_series",
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"], ["series.SeriesInstanceUID"], name=op.f("fk_dataset_series_SeriesInstanceUID")
        ),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_series_dataset_id")),
        sa.PrimaryKeyConstraint("dataset_id", "SeriesInstanceUID", name=op.f("pk_dataset_series")),
    )
    op.create_table(
        "instances",
        sa.Column("SOPInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("SOPClassUID", sa.String(length=64), nullable=False),
        sa.Column("InstanceNumber", sa.Integer(), nullable=True),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("TransferSyntaxUID", sa.String(length=64), nullable=False),
        sa.Column("Rows", sa.Integer(), nullable=True),
        sa.Column("Columns", sa.Integer(), nullable=True),
        sa.Column("SamplesPerPixel", sa.Integer(), nullable=True),
        sa.Column("PhotometricInterpretation", sa.String(length=16), nullable=True),
        sa.Column("BitsAllocated", sa.Integer(), nullable=True),
        sa.Column("BitsStored", sa.Integer(), nullable=True),
        sa.Column("PixelRepresentation", sa.Integer(), nullable=True),
        sa.Column("PlanarConfiguration", sa.Integer(), nullable=True),
        sa.Column("RescaleSlope", sa.Float(), nullable=True),
        sa.Column("RescaleIntercept", sa.Float(), nullable=True),
        sa.Column("ImagePositionPatient", sa.JSON(), nullable=True),
        sa.Column("ImageOrientationPatient", sa.JSON(), nullable=True),
        sa.Column("PixelSpacing", sa.JSON(), nullable=True),
        sa.Column("SliceThickness", sa.Float(), nullable=True),
        sa.Column("frames", sa.JSON(), nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"], ["series.SeriesInstanceUID"], name=op.f("fk_instances_SeriesInstanceUID")
        ),
        sa.PrimaryKeyConstraint("SOPInstanceUID", name=op.f("pk_instances")),
    )
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instances_SeriesInstanceUID"), ["SeriesInstanceUID"], unique=False)

    op.create_table(
        "leases",
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"], ["series.SeriesInstanceUID"], name=op.f("fk_leases_SeriesInstanceUID")
        ),
        sa.PrimaryKeyConstraint("SeriesInstanceUID", name=op.f("pk_leases")),
    )
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=255), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("SOPInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("segments", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["SOPInstanceUID"], ["instances.SOPInstanceUID"], name=op.f("fk_annotations_SOPInstanceUID")
        ),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"], ["series.SeriesInstanceUID"], name=op.f("fk_annotations_SeriesInstanceUID")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
        sa.UniqueConstraint("SeriesInstanceUID", "version", name=op.f("uq_annotations_SeriesInstanceUID")),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("model_hash", sa.String(length=64), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("volume_mm3", sa.Float(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("uncertainty", sa.Float(), nullable=False),
        sa.Column("requires_review", sa.Boolean(), nullable=False),
        sa.Column("SOPInstanceUID", sa.String(length=64), nullable=True),
        sa.Column("segments", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["SOPInstanceUID"], ["instances.SOPInstanceUID"], name=op.f("fk_predictions_SOPInstanceUID")
        ),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"], ["series.SeriesInstanceUID"], name=op.f("fk_predictions_SeriesInstanceUID")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictions")),
    )
    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_predictions_SeriesInstanceUID"), ["SeriesInstanceUID"], unique=False)

    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("prediction_id", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["prediction_id"], ["predictions.id"], name=op.f("fk_decisions_prediction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_decisions_prediction_id"), ["prediction_id"], unique=False)


def downgrade() -> None:
    """Take the change back."""
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_decisions_prediction_id"))

    op.drop_table("decisions")
    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_predictions_SeriesInstanceUID"))

    op.drop_table("predictions")
    op.drop_table("annotations")
    op.drop_table("leases")
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_instances_SeriesInstanceUID"))

    op.drop_table("instances")
    op.drop_table("dataset_series")
    with op.batch_alter_table("study_projects", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_study_projects_project"))

    op.drop_table("study_projects")
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_series_StudyInstanceUID"))
        batch_op.drop_index(batch_op.f("ix_series_Modality"))
        batch_op.drop_index(batch_op.f("ix_series_BodyPartExamined"))

    op.drop_table("series")
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_studies_site"))
        batch_op.drop_index(batch_op.f("ix_studies_PatientID"))

    op.drop_table("studies")
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_datasets_name"))

    op.drop_table("datasets")
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_events_object")

    op.drop_table("audit_events")
