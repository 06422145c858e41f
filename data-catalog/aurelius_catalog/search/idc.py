"""The index of a public archive, in the layout of the Imaging Data Commons, searched in its Parquet file.

It lists series that are not in this house: a result gives the address of the images, and whether this person finds
the same series here. Nothing is fetched from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlalchemy import ColumnElement, Float, Integer, Select, String, and_, column, func, select, table
from sqlalchemy.dialects import postgresql

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.search.conditions import match
from aurelius_catalog.search.keywords import find_column

#: The house's keyword, and the archive's column.
NAMES = {
    "SeriesInstanceUID": "SeriesInstanceUID",
    "StudyInstanceUID": "StudyInstanceUID",
    "PatientID": "PatientID",
    "CollectionID": "collection_id",
    "AnalysisResultID": "analysis_result_id",
    "Modality": "Modality",
    "SOPClassUID": "SOPClassUID",
    "TransferSyntaxUID": "TransferSyntaxUID",
    "PatientSex": "PatientSex",
    "PatientAge": "PatientAge",
    "StudyDate": "StudyDate",
    "StudyDescription": "StudyDescription",
    "SeriesDate": "SeriesDate",
    "SeriesDescription": "SeriesDescription",
    "SeriesNumber": "SeriesNumber",
    "BodyPartExamined": "BodyPartExamined",
    "Manufacturer": "Manufacturer",
    "ManufacturerModelName": "ManufacturerModelName",
    "n_instances": "instanceCount",
    "size_bytes": "series_size_MB",
    "license": "license_short_name",
    "source_DOI": "source_DOI",
}
_NUMBERS: dict[str, Any] = {"SeriesNumber": Integer(), "n_instances": Integer(), "size_bytes": Float()}
_TABLE = table("idc", *[column(name, _NUMBERS.get(name, String())) for name in (*NAMES, "aws_url")])
COLUMNS: dict[str, ColumnElement[Any]] = {each.name: each for each in _TABLE.columns}
_TEXT_IN = ("SeriesDescription", "StudyDescription", "BodyPartExamined", "CollectionID")
_DIALECT = postgresql.dialect(paramstyle="named")  # DuckDB's grammar is PostgreSQL's


def read_idc(file: Path | None, keywords: Mapping[str, object]) -> pa.Table:
    """Return the series of the archive that match, in its order, with the address of their images.

    Parameters
    ----------
    file
        The Parquet file; None where the site provides none.
    keywords
        As for a search of the house's own; ``text`` looks for words anywhere in the descriptions.

    Raises
    ------
    InvalidRequest
        If there is no such file, or it has no column for a keyword.
    """
    return _ask(file, select(_TABLE), keywords)


def count_idc(file: Path | None, keywords: Mapping[str, object]) -> int:
    """Return how many series of the archive match; see `read_idc`."""
    counted: int = _ask(file, select(func.count()).select_from(_TABLE), keywords).column(0)[0].as_py()
    return counted


def count_idc_values(file: Path | None, keywords: Mapping[str, object], keyword: str) -> dict[Any, int]:
    """Return how many series of the archive that match have which value of an attribute; see `read_idc`."""
    column = find_column(keyword, COLUMNS, ())
    found = _ask(file, select(column, func.count()).group_by(column), keywords)
    return dict(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True))


def _ask(file: Path | None, statement: Select[Any], keywords: Mapping[str, object]) -> pa.Table:
    if file is None or not file.is_file():
        raise InvalidRequest("This house has no index of a public archive: set AURELIUS_IDC_INDEX to its Parquet file.")
    conditions = [_match(keyword, value) for keyword, value in keywords.items() if keyword != "source"]
    asked = statement.where(*conditions).compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True})
    with duckdb.connect() as connection:
        try:
            archive = connection.read_parquet(str(file))
            renamed = archive.project(", ".join(_list_columns(set(archive.columns))))
            found: Any = renamed.query("idc", str(asked))
            return found.to_arrow_table()
        except duckdb.Error as error:
            raise InvalidRequest(f"The index of the public archive cannot be read ({type(error).__name__}).") from error


def _match(keyword: str, value: object) -> ColumnElement[bool]:
    if keyword == "text":
        words = value.replace("*", " ").split() if isinstance(value, str) else []
        if not words:
            raise InvalidRequest("text takes words, such as 'lung nodul*'.")
        described = func.concat_ws(" ", *[_TABLE.c[name] for name in _TEXT_IN], type_=String())
        return and_(*[described.icontains(word, autoescape=True) for word in words])
    return match(find_column(keyword, COLUMNS, ("source", "text")), keyword, value, "postgresql")


def _list_columns(present: set[str]) -> list[str]:
    """Return what the archive's columns are called here; for the address of the images, whichever column exists."""
    listed = []
    for ours, theirs in NAMES.items():
        if theirs not in present:
            value = "NULL"
        elif ours.endswith("Date"):
            value = f"""replace(CAST("{theirs}" AS VARCHAR), '-', '')"""
        elif ours == "SeriesNumber":  # a text in the archive, and sometimes not a number
            value = f'TRY_CAST("{theirs}" AS INTEGER)'
        elif ours == "size_bytes":
            value = f'CAST("{theirs}" * 1000000 AS BIGINT)'
        else:
            value = f'"{theirs}"'
        listed.append(f'{value} AS "{ours}"')
    if "series_aws_url" in present:
        listed.append('series_aws_url AS "aws_url"')
    elif {"aws_bucket", "crdc_series_uuid"} <= present:
        listed.append("""'s3://' || aws_bucket || '/' || crdc_series_uuid || '/*' AS "aws_url" """)
    else:
        listed.append('NULL AS "aws_url"')
    return listed
