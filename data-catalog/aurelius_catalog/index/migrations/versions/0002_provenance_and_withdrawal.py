"""provenance and withdrawal.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("studies") as batch_op:
        batch_op.add_column(sa.Column("flags", sa.JSON(), nullable=False, server_default="[]"))
    with op.batch_alter_table("series") as batch_op:
        batch_op.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
    with op.batch_alter_table("instances") as batch_op:
        batch_op.add_column(
            sa.Column("media_type", sa.String(length=64), nullable=False, server_default="application/dicom")
        )
        batch_op.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("deidentification", sa.JSON(), nullable=True))
    with op.batch_alter_table("dataset_series") as batch_op:
        batch_op.add_column(sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_constraint(op.f("fk_dataset_series_SeriesInstanceUID"), type_="foreignkey")
    op.create_table(
        "audit_heads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_heads")),
    )
    op.create_table(
        "tombstones",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("PatientID", sa.String(length=64), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_by", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstones")),
    )
    op.create_index(op.f("ix_tombstones_uid"), "tombstones", ["uid"])
    op.create_index(op.f("ix_tombstones_PatientID"), "tombstones", ["PatientID"])


def downgrade() -> None:
    """Take the change back; what was withdrawn stays withdrawn, so its dataset rows go."""
    op.drop_table("tombstones")
    op.drop_table("audit_heads")
    op.execute('DELETE FROM dataset_series WHERE "SeriesInstanceUID" NOT IN (SELECT "SeriesInstanceUID" FROM series)')
    with op.batch_alter_table("dataset_series") as batch_op:
        batch_op.create_foreign_key(
            op.f("fk_dataset_series_SeriesInstanceUID"), "series", ["SeriesInstanceUID"], ["SeriesInstanceUID"]
        )
        batch_op.drop_column("withdrawn_at")
    with op.batch_alter_table("instances") as batch_op:
        batch_op.drop_column("deidentification")
        batch_op.drop_column("revision")
        batch_op.drop_column("media_type")
    with op.batch_alter_table("series") as batch_op:
        batch_op.drop_column("revision")
    with op.batch_alter_table("studies") as batch_op:
        batch_op.drop_column("flags")
