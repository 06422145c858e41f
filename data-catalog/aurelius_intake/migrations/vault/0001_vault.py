"""The vault's tables; those that an earlier version made are the same and stay.

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
        "secrets",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "patients",
        sa.Column("pseudonym", sa.String(64), primary_key=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "studies",
        sa.Column("StudyInstanceUID", sa.String(64), primary_key=True),
        sa.Column("pseudonym", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_studies_pseudonym", "studies", ["pseudonym"], if_not_exists=True)
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )
    op.create_table(
        "notices",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Take the change back."""
    for table in ("notices", "requests", "studies", "patients", "secrets"):
        op.drop_table(table)
