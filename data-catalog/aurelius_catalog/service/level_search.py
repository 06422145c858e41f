"""The search for levels of slide files, which QIDO-RS finds as if the index held them as instances.

A slide file must be opened to know its levels, so only searches that name a study or a series find them.
"""

from __future__ import annotations

from collections.abc import Mapping

from openslide import OpenSlideError
from sqlalchemy import Connection, cast, column, select, values

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index import reads
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import instances, series
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import InstanceRecord, SeriesRecord
from aurelius_catalog.search.conditions import match
from aurelius_catalog.search.keywords import INSTANCES, SERIES
from aurelius_catalog.search.search_filter import read_filter
from aurelius_catalog.service.slide_levels import make_levels
from aurelius_catalog.slides.stored_slide import open_files
from aurelius_deidentify.media_types import SUFFIXES, is_slide

Found = list[tuple[InstanceRecord, SeriesRecord]]
#: Slide files that one search opens at most.
MOST_SLIDES = 100
#: Attributes of an instance itself; all others are those of its series.
_OWN = {name: held for name, held in INSTANCES.items() if held is not SERIES.get(name)}
_SLIDE_TYPES = [media_type for media_type in SUFFIXES if is_slide(media_type)]
#: Columns and rows of each level, by the hash of the file.
_SIZES: dict[str, tuple[tuple[int, int], ...]] = {}
_MOST_SIZES = 100_000


def find_levels(store: LocalStore, keywords: Mapping[str, object]) -> tuple[Found, bool]:
    """Find levels of the slide files that a person may see.

    Parameters
    ----------
    store
        The catalog, seen with the person's rights.
    keywords
        The conditions, as `Store.find_series` takes them; those on attributes of instances are applied to the levels.

    Returns
    -------
    list of (InstanceRecord, SeriesRecord)
        The levels, each with its series.
    bool
        Whether there are slide files that were not opened.
    """
    own = {keyword: value for keyword, value in keywords.items() if keyword in _OWN}
    above = {keyword: value for keyword, value in keywords.items() if keyword not in _OWN}
    named = "StudyInstanceUID" in above or "SeriesInstanceUID" in above
    with open_engine(store.settings).begin() as connection:
        held = _list_files(connection, store, above, MOST_SLIDES + 1 if named else 1)
        if not named:
            return [], bool(held)
        sizes = [_measure(store, each) for each in held[:MOST_SLIDES]]
        levels = [level for each, known in zip(held, sizes, strict=False) for level in make_levels(each, known)]
        matching = _choose(connection, levels, own)
    uids = [each.SeriesInstanceUID for each in held]
    parents = {each.SeriesInstanceUID: each for each in store.find_page({"SeriesInstanceUID": uids}, len(uids))}
    found = [(each, parents[each.SeriesInstanceUID]) for each in levels if each.SOPInstanceUID in matching]
    return found, len(held) > MOST_SLIDES or not all(sizes)


def _list_files(
    connection: Connection, store: LocalStore, above: Mapping[str, object], limit: int
) -> list[InstanceRecord]:
    search_filter = read_filter(connection, store.person, above)
    statement = select(*reads.INSTANCE_COLUMNS).join(
        series, series.c.SeriesInstanceUID == instances.c.SeriesInstanceUID
    )
    # The index of modalities finds them; DICOM slides have frames, slide files none.
    slides = (series.c.Modality == "SM", series.c.n_frames == 0, instances.c.media_type.in_(_SLIDE_TYPES))
    statement = statement.where(*search_filter.expressions, *slides).order_by(series.c.id).limit(limit)
    return [InstanceRecord(**row) for row in connection.execute(statement).mappings()]


def _measure(store: LocalStore, held: InstanceRecord) -> tuple[tuple[int, int], ...]:
    """Return the sizes of a slide's levels without reading pixels; empty if it is damaged."""
    if held.sha256 not in _SIZES:
        if len(_SIZES) >= _MOST_SIZES:
            _SIZES.clear()
        try:
            _SIZES[held.sha256] = open_files(store.settings.files, [held]).level_dimensions
        except (InvalidRequest, OpenSlideError, OSError):
            return ()
    return _SIZES[held.sha256]


def _choose(connection: Connection, levels: list[InstanceRecord], own: Mapping[str, object]) -> set[str]:
    """Return the SOPInstanceUIDs of the levels that meet the conditions, by the rules of any search."""
    names = list(dict.fromkeys(["SOPInstanceUID", *own]))
    rows = [tuple(getattr(level, name) for name in names) for level in levels]
    if not rows:
        return set()
    table = values(*[column(name, _OWN[name].type) for name in names], name="levels").data(rows).cte("levels")
    conditions = [
        match(cast(table.c[keyword], _OWN[keyword].type), keyword, value, connection.dialect.name)
        for keyword, value in own.items()
    ]
    return set(connection.execute(select(table.c.SOPInstanceUID).where(*conditions)).scalars())
