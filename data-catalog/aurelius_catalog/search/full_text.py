"""Full text search of descriptions, in each database's own index of words."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, cast, column, func, literal, literal_column, select, table
from sqlalchemy.dialects.postgresql import TSQUERY

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.schema import series
from aurelius_catalog.index.series_attributes import split_words

#: SQLite's full-text table; its row numbers are those of the series.
WORDS = table("series_words", column("rowid"))


def match_text(value: object, dialect: str) -> ColumnElement[bool]:
    """Return the condition on series that every word of a text is in their descriptions.

    A word that ends in an asterisk stands for all that begin with it.

    Raises
    ------
    InvalidRequest
        If the text holds no word.
    """
    if dialect == "sqlite":
        return series.c.id.in_(select(WORDS.c.rowid).where(match_words(value)))
    asked = " & ".join(f"'{word}':*" if begins else f"'{word}'" for word, begins in _read_words(value))
    kept = func.array_to_tsvector(func.string_to_array(series.c.words, " "))
    return kept.op("@@", is_comparison=True)(cast(asked, TSQUERY))


def match_words(value: object) -> ColumnElement[bool]:
    """Return the same condition on SQLite's full-text table itself.

    Raises
    ------
    InvalidRequest
        If the text holds no word.
    """
    asked = " AND ".join(f'"{word}"*' if begins else f'"{word}"' for word, begins in _read_words(value))
    return literal_column("series_words").op("MATCH", is_comparison=True)(asked)


def check_words(value: object) -> ColumnElement[bool]:
    """Return the same condition on a row of SQLite that is already read.

    Raises
    ------
    InvalidRequest
        If the text holds no word.
    """
    kept = literal(" ").concat(series.c.words).concat(" ")
    return and_(*[func.instr(kept, f" {word}" if begins else f" {word} ") > 0 for word, begins in _read_words(value)])


def forget_words(connection: Connection) -> None:
    """Rewrite the full text search, so that nothing of what was removed stays in its pages.

    SQLite's only marks what is gone until its parts are merged some day; PostgreSQL removes it with the rows.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO series_words(series_words) VALUES ('optimize')")


def _read_words(value: object) -> list[tuple[str, bool]]:
    """Return the words that are asked for, and of each whether it is only a beginning."""
    wanted = [(word, part.endswith("*")) for part in str(value).split() for word in split_words(part)]
    if not isinstance(value, str) or not wanted:
        raise InvalidRequest("text takes words, such as 'lung nodul*'.")
    return wanted
