"""the audit log can only grow.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Each table, and the column that says up to which event its rows may go once a checkpoint was left.
TABLES = {"audit_events": "id", "audit_heads": "event_id", "audit_checkpoints": None}
REFUSAL = "audit records are neither changed nor removed"
NEWEST = "coalesce((SELECT max(event_id) FROM audit_checkpoints), 0)"


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "audit_checkpoints",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_checkpoints")),
    )
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def downgrade() -> None:
    """Take the change back."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in TABLES:
        for kind in ("update", "delete", "truncate" if postgresql else "replace"):
            op.execute(f"DROP TRIGGER {table}_no_{kind}" + (f" ON {table}" if postgresql else ""))
    if postgresql:
        op.execute("DROP FUNCTION refuse_audit_change")
        op.execute("DROP FUNCTION refuse_audit_removal")
    op.drop_table("audit_checkpoints")


def _guard_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    for table, column in TABLES.items():
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}")
        kept = f"WHEN OLD.{column} > {NEWEST}" if column else ""
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {kept} {refuse}")
        # INSERT OR REPLACE removes a row without asking the trigger above.
        same = "id = NEW.id OR hash = NEW.hash" if table == "audit_events" else "id = NEW.id"
        known = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - names of this file
        op.execute(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {known} {refuse}")


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    op.execute(
        "CREATE FUNCTION refuse_audit_removal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF (to_jsonb(OLD) ->> TG_ARGV[0])::bigint > {NEWEST} THEN RAISE EXCEPTION '{REFUSAL}'; END IF; "
        "RETURN OLD; END $$"
    )
    for table, column in TABLES.items():
        refuse = "EXECUTE FUNCTION refuse_audit_change()"
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")
        kept = f"EXECUTE FUNCTION refuse_audit_removal('{column}')" if column else refuse
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW {kept}")
