"""A real PostgreSQL as a context manager."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aurelius_hub.ports import find_free_ports


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs; skip the test where there is none."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    pytest.skip("PostgreSQL is missing: apt-get install postgresql")


@contextmanager
def temp_postgres(folder: Path) -> Iterator[str]:
    """Run a fresh server on loopback; yields SQLAlchemy's address of an empty database."""
    programs = find_programs()
    [port] = find_free_ports(1)
    # The server refuses root; where the tests run as root it runs as the user its package made.
    switch = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if switch:
        shutil.chown(folder, "postgres")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"

    def call(program: str, *arguments: str) -> None:
        command = [*switch, str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    call("initdb", "-A", "trust", "-U", "house")
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://house@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-m", "fast", "stop")
