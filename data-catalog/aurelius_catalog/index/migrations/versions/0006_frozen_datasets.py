"""what exactly a frozen dataset holds, and that it may have several names.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


_COUNT = """
UPDATE dataset_series SET (n_instances, n_frames, size_bytes) = (
    SELECT s.n_instances, s.n_frames, s.size_bytes FROM series s
    WHERE s."SeriesInstanceUID" = dataset_series."SeriesInstanceUID"
) WHERE "SeriesInstanceUID" IN (SELECT "SeriesInstanceUID" FROM series)
"""


def upgrade() -> None:
    """Apply the change. A dataset's id becomes the hash of its content alone; the old id stays, as one of its names."""
    names = op.create_table(
        "dataset_names",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_names_dataset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_names")),
        sa.UniqueConstraint("dataset_id", "name", name=op.f("uq_dataset_names_dataset_id")),
    )
    op.create_index(op.f("ix_dataset_names_name"), "dataset_names", ["name"])
    objects = op.create_table(
        "dataset_objects",
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("SOPInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_objects_dataset_id")),
        sa.PrimaryKeyConstraint("dataset_id", "SeriesInstanceUID", "SOPInstanceUID", name=op.f("pk_dataset_objects")),
        sqlite_with_rowid=False,
    )
    op.add_column("datasets", sa.Column("profiles", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("datasets", sa.Column("n_instances", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("datasets", sa.Column("n_labels", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("datasets", sa.Column("size_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    for name, kind in (("n_instances", sa.Integer()), ("n_frames", sa.Integer()), ("size_bytes", sa.BigInteger())):
        op.add_column("dataset_series", sa.Column(name, kind, nullable=False, server_default="0"))
    op.execute(_COUNT)
    connection = op.get_bind()
    old = connection.execute(sa.text("SELECT id, name, created_by, created_at FROM datasets ORDER BY created_at")).all()
    op.drop_index(op.f("ix_datasets_name"), table_name="datasets")
    op.execute("ALTER TABLE datasets DROP COLUMN name")  # SQLite can since 3.35, without making the table again
    _rename(connection, old, names, objects)


def _rename(connection: sa.Connection, old: Iterable[Any], names: sa.Table, objects: sa.Table) -> None:
    moment = sa.DateTime(timezone=True)
    datasets = sa.table(
        "datasets",
        *(sa.column(name) for name in ("id", "created_by", "n_instances", "size_bytes")),
        sa.column("profiles", sa.JSON()),
        sa.column("created_at", moment),
    )
    members = sa.table(
        "dataset_series",
        sa.column("dataset_id"),
        sa.column("SeriesInstanceUID"),
        sa.column("withdrawn_at", moment),
    )
    given: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in old:
        held, profiles = _read_objects(connection, row.id)
        number = _name_content([each["sha256"] for each in held], profiles)
        told = connection.execute(sa.text("SELECT 1 FROM datasets WHERE id = :id"), {"id": number}).first()
        made = {"created_by": row.created_by, "created_at": _read_moment(row.created_at)}
        if told is None:
            size = sum(each["size_bytes"] for each in held)
            values = {"id": number, "n_instances": len(held), "size_bytes": size, "profiles": sorted(profiles), **made}
            connection.execute(sa.insert(datasets).values(values))
            for each in held:
                connection.execute(sa.insert(objects).values(dataset_id=number, role="image", **each))
            mine = members.c.dataset_id == row.id
            connection.execute(sa.update(members).where(mine).values(dataset_id=number))
        connection.execute(sa.delete(members).where(members.c.dataset_id == row.id))
        connection.execute(sa.delete(datasets).where(datasets.c.id == row.id))
        given[number] += [{"name": row.name, **made}, {"name": row.id, **made}]
    for number, entries in given.items():
        for entry in {entry["name"]: entry for entry in entries}.values():
            connection.execute(sa.insert(names).values(dataset_id=number, **entry))


def _read_objects(connection: sa.Connection, dataset_id: str) -> tuple[list[dict[str, Any]], list[list[str]]]:
    statement = sa.text(
        'SELECT i."SeriesInstanceUID", i."SOPInstanceUID", i.sha256, i.size_bytes, i.deidentification '
        'FROM instances i JOIN dataset_series d ON d."SeriesInstanceUID" = i."SeriesInstanceUID" '
        "WHERE d.dataset_id = :id"
    )
    held, profiles = [], set()
    for row in connection.execute(statement, {"id": dataset_id}).mappings():
        record = row["deidentification"]
        record = json.loads(record) if isinstance(record, str) else record
        if record and record.get("profile"):
            profiles.add((record["profile"], record.get("sha256") or ""))
        held.append({name: row[name] for name in ("SeriesInstanceUID", "SOPInstanceUID", "sha256", "size_bytes")})
    return held, [list(profile) for profile in profiles]


def _name_content(objects: Iterable[str], profiles: Iterable[list[str]]) -> str:
    """Return an id by the rule of `aurelius_catalog.index.dataset_hash`, as it was when this was written."""
    lines = [f"object {sha256}" for sha256 in objects] + [f"profile {name} {sha256}" for name, sha256 in profiles]
    return hashlib.sha256("".join(f"{line}\n" for line in ["aurelius dataset 1", *sorted(lines)]).encode()).hexdigest()


def _read_moment(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def downgrade() -> None:
    """Take the change back; a dataset keeps its first name."""
    op.add_column("datasets", sa.Column("name", sa.String(length=255), nullable=False, server_default=""))
    op.execute(
        "UPDATE datasets SET name = "
        "(SELECT n.name FROM dataset_names n WHERE n.dataset_id = datasets.id ORDER BY n.id LIMIT 1)"
    )
    op.create_index(op.f("ix_datasets_name"), "datasets", ["name"])
    for column in ("profiles", "n_instances", "n_labels", "size_bytes"):
        op.execute(f"ALTER TABLE datasets DROP COLUMN {column}")
    for column in ("n_instances", "n_frames", "size_bytes"):
        op.execute(f"ALTER TABLE dataset_series DROP COLUMN {column}")
    op.drop_table("dataset_objects")
    op.drop_table("dataset_names")
