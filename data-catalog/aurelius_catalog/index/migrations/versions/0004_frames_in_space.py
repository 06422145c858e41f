"""where each frame of an object lies, and what tells frames at one place apart.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from aurelius_catalog.dicom.frame_attributes import read_per_frame
from aurelius_catalog.dicom.json_header import read_number

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANCES = sa.table(
    "instances",
    sa.column("SOPInstanceUID", sa.String),
    sa.column("NumberOfFrames", sa.Integer),
    sa.column("per_frame", sa.JSON),
    sa.column("header", sa.JSON),
)


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("instances") as batch_op:
        batch_op.add_column(sa.Column("NumberOfFrames", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("per_frame", sa.JSON(), nullable=False, server_default="{}"))
    fill_from_headers(op.get_bind())


def downgrade() -> None:
    """Take the change back."""
    with op.batch_alter_table("instances") as batch_op:
        batch_op.drop_column("per_frame")
        batch_op.drop_column("NumberOfFrames")


def fill_from_headers(connection: sa.Connection) -> None:
    """Fill the new columns of the rows that are there from the headers the index holds."""
    uids = connection.execute(sa.select(INSTANCES.c.SOPInstanceUID)).scalars().all()
    change = (
        sa.update(INSTANCES)
        .where(INSTANCES.c.SOPInstanceUID == sa.bindparam("uid"))
        .values(NumberOfFrames=sa.bindparam("number"), per_frame=sa.bindparam("found"))
    )
    for start in range(0, len(uids), 500):  # SQLite takes no more than some thousand parameters
        chosen = INSTANCES.c.SOPInstanceUID.in_(uids[start : start + 500])
        rows = connection.execute(sa.select(INSTANCES.c.SOPInstanceUID, INSTANCES.c.header).where(chosen)).all()
        connection.execute(
            change,
            [
                {
                    "uid": uid,
                    "number": None if (number := read_number(header, "NumberOfFrames")) is None else int(number),
                    "found": read_per_frame(header),
                }
                for uid, header in rows
            ],
        )
