"""Needles: the byte sequences that identifying values may stand as, compiled for one search."""

from __future__ import annotations

import re
from collections.abc import Iterator

import hyperscan

from aurelius_deidentify.header.identifiers import is_date
from aurelius_deidentify.residue.false_positives import SHORTEST_IN_BULK

#: Character sets of PS3.3 C.12.1.1.2 a name may stand in; escape sequences stand between, not inside, the words.
CHARSETS = (
    "utf-8",
    "latin-1",
    *(f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 15)),
    "tis-620",
    "shift_jis",
    "euc_jp",
    "euc_kr",
    "gb18030",
)
SHORTEST_UTF16 = 6
ESCAPES = re.compile(rb"\x1b\$?[()\-]?[A-Z0-9]")


def find_root(uid: bytes) -> bytes:
    """Return what many UIDs share: up to four components, never the last, with the dot behind them."""
    parts = uid.split(b".")
    return b".".join(parts[: min(4, len(parts) - 1)]) + b"."


def encode_value(value: str) -> Iterator[bytes]:
    """Yield the byte sequences a value may stand as."""
    if value.isascii():
        if is_date(value):
            yield from (form.encode() for form in _write_date(value))
            return
        yield value.encode()
        if len(value) >= SHORTEST_UTF16:
            yield value.encode("utf-16-le")
        return
    for form in {value, value.upper(), value.title(), value.capitalize()}:
        for charset in CHARSETS:
            try:
                encoded = ESCAPES.sub(b"", form.encode(charset))
            except UnicodeEncodeError:
                continue
            if len(encoded) >= 3:
                yield encoded
        if len(form) >= 2:
            yield form.encode("utf-16-le")


def _write_date(value: str) -> tuple[str, ...]:
    year, month, day = value[:4], value[4:6], value[6:]
    return (
        value,
        *(sign.join((year, month, day)) for sign in "-./"),
        *(sign.join((day, month, year)) for sign in "-./"),
        f"{month}/{day}/{year}",
    )


def compile_needles(needles: list[bytes]) -> hyperscan.Database | None:
    """Return a Hyperscan database that finds the sequences, numbered as in the list; None for an empty list."""
    if not needles:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = [hyperscan.HS_FLAG_CASELESS if needle.isascii() else 0 for needle in needles]
    # As hexadecimal escapes: the binding cuts literals at the first NUL, which every UTF-16 needle holds.
    expressions = [b"".join(b"\\x%02x" % byte for byte in needle) for needle in needles]
    database.compile(expressions=expressions, ids=list(range(len(needles))), elements=len(needles), flags=flags)
    return database


def is_chancy(needle: bytes) -> bool:
    """Whether a sequence is so short that it occurs in large binary values by chance."""
    return len(needle) < (2 * SHORTEST_IN_BULK if b"\0" in needle else SHORTEST_IN_BULK)
