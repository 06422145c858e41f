"""Which images have a table that says what their stored values mean.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from aurelius_catalog.dicom.frame_attributes import read_per_frame

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INSTANCES = sa.table(
    "instances",
    sa.column("SOPInstanceUID", sa.String),
    sa.column("Rows", sa.Integer),
    sa.column("RescaleSlope", sa.Float),
    sa.column("per_frame", sa.JSON),
    sa.column("header", sa.JSON),
)


def upgrade() -> None:
    """Apply the change."""
    fill_from_headers(op.get_bind())


def downgrade() -> None:
    """Take the change back: nothing that was before is lost."""


def fill_from_headers(connection: sa.Connection) -> None:
    """Read the headers that hold a ModalityLUTSequence (0028,3000) again."""
    columns = INSTANCES.c
    chosen = sa.select(columns.SOPInstanceUID, columns.header).where(
        columns.Rows.is_not(None), columns.RescaleSlope.is_(None), sa.cast(columns.header, sa.Text).like('%"00283000"%')
    )
    for uid, header in connection.execute(chosen).all():
        change = sa.update(INSTANCES).where(columns.SOPInstanceUID == uid)
        connection.execute(change.values(per_frame=read_per_frame(header)))
