"""Invented objects for the catalog without the intake: the tests' own way past the gate, which the house has not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aurelius_catalog.index import deidentified
from aurelius_catalog.index.deidentified import DeidentifiedFile


def read_invented(path: Path, deidentification: dict[str, Any] | None = None) -> DeidentifiedFile:
    """Describe a Part 10 file that the tests made, or took from public data, as if de-identification had written it."""
    return deidentified._read_file(path, deidentification)


def describe_invented(
    path: Path, header: Mapping[str, Any], sha256: str, size_bytes: int, *, TransferSyntaxUID: str = "", media_type: str
) -> DeidentifiedFile:
    """Describe a file in another format than DICOM, with an invented header."""
    return DeidentifiedFile(
        path, dict(header), TransferSyntaxUID, (), sha256, size_bytes, deidentified._SEAL, media_type
    )
