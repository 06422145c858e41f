"""The table of intake items; one that an earlier version made is brought to the same shape.

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

INDEXED = ("site", "state", "digest", "SOPInstanceUID", "StudyInstanceUID", "pseudonym", "changed_at")


def upgrade() -> None:
    """Apply the change."""
    present = _list_present("items")
    if not present:
        op.create_table("items", *_list_columns(), sqlite_autoincrement=True)
    else:
        _complete(present)
    for name in INDEXED:
        op.create_index(f"ix_items_{name}", "items", [name], if_not_exists=True)


def _complete(present: set[str]) -> None:
    """Add what a table of an earlier version lacks.

    Such a version recognised content by SHA-256; its digests stay as they are, without a prefix.
    """
    if "sha256" in present:
        op.execute("DROP INDEX IF EXISTS ix_items_sha256")
        op.execute("ALTER TABLE items RENAME COLUMN sha256 TO digest")
        op.execute("UPDATE items SET state = 'received' WHERE state = 'checked'")
        present = present | {"digest"}
    for column in _list_columns():
        if column.name not in present:
            op.add_column("items", column)


def _list_present(table: str) -> set[str]:
    inspector = sa.inspect(op.get_bind())
    return {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()


def _list_columns() -> list[sa.Column]:
    return [
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("companions", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("SOPInstanceUID", sa.String(64)),
        sa.Column("StudyInstanceUID", sa.String(64)),
        sa.Column("pseudonym", sa.String(64)),
        sa.Column("profile", sa.String(255)),
        sa.Column("actions", sa.JSON()),
        sa.Column("verdict", sa.JSON()),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    ]


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("items")
