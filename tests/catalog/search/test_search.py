"""Searching: every keyword of the grammar against plain Python over the same rows, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.series_attributes import split_words
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import SeriesRecord
from aurelius_catalog.remote.keyword_encoding import pack_keywords
from aurelius_catalog.search import KEYWORDS
from aurelius_catalog.settings import CatalogSettings
from support.houses import DATABASES, find_server, make_settings
from support.many_series import fill_index

STELLA = Person.of("stella", ["role-steward"])
RHEA = Person.of("rhea", ["role-researcher", "project-chest-ct", "project-head-mr"])
NORA = Person.of("nora", ["role-clinician", "site-coast"])
NOBODY = Person.of("bram", ["role-researcher", "project-no-such"])
SIZE = 1500
Keep = Callable[[SeriesRecord], bool]


@dataclass(frozen=True)
class Index:
    """A filled index, and everything in it as a steward reads it."""

    settings: CatalogSettings
    everything: list[SeriesRecord] = field(repr=False)

    def open_as(self, person: Person) -> Catalog:
        return Catalog(LocalStore(self.settings, person))

    def keep(self, keep: Keep, person: Person = STELLA) -> list[str]:
        visible = (each for each in self.everything if person.may_see(each.site, each.projects))
        return [each.SeriesInstanceUID for each in visible if keep(each)]


@pytest.fixture(scope="module", params=DATABASES)
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Index:
    server = find_server(request.param)
    home = tmp_path_factory.mktemp("house")
    settings = make_settings(home, server, idc_index=write_archive(home / "idc.parquet"))
    fill_index(open_engine(settings), SIZE, seed=7, drawn_every=8)
    return Index(settings, LocalStore(settings, STELLA).find_series())


def write_archive(path: Path) -> Path:
    """Write five series in the layout of the Imaging Data Commons."""
    statement = f"""COPY (SELECT 'nlst' AS collection_id, 'P-' || i AS PatientID, '1.2.' || i AS SeriesInstanceUID,
        '1.3.' || i AS StudyInstanceUID, '10.7937/x' AS source_DOI, '061Y' AS PatientAge, 'F' AS PatientSex,
        DATE '2001-02-03' AS StudyDate, 'Lung screening' AS StudyDescription, 'CHEST' AS BodyPartExamined,
        CASE WHEN i < 3 THEN 'CT' ELSE 'SEG' END AS Modality, 'GE' AS Manufacturer, 'X' AS ManufacturerModelName,
        '2001-02-03' AS SeriesDate, 'it''s 100% thin' AS SeriesDescription, '2' AS SeriesNumber, 120 AS instanceCount,
        'CC BY 4.0' AS license_short_name, 'open-data' AS aws_bucket, 'uuid-' || i AS crdc_series_uuid,
        62.5 AS series_size_MB FROM range(5) t(i)) TO '{path}' (FORMAT parquet)"""  # noqa: S608
    duckdb.sql(statement)
    return path


def uids(found: Any) -> list[str]:
    return [each.SeriesInstanceUID for each in found]


def test_the_cohort_is_what_the_tests_need(index: Index) -> None:
    assert len(index.everything) == SIZE
    assert {each.Modality for each in index.everything} >= {"CT", "MR", "US", "SM", "SEG"}
    assert len({each.site for each in index.everything}) == 5


QUESTIONS: dict[str, tuple[dict[str, object], Keep]] = {
    "equal": ({"Modality": "CT"}, lambda it: it.Modality == "CT"),
    "both": (
        {"Modality": "MR", "BodyPartExamined": "HEAD"},
        lambda it: it.Modality == "MR" and it.BodyPartExamined == "HEAD",
    ),
    "any of a list": ({"Modality": ["PT", "SM"]}, lambda it: it.Modality in ("PT", "SM")),
    "any of a set": ({"Modality": {"PT", "SM"}}, lambda it: it.Modality in ("PT", "SM")),
    "none of an empty list": ({"Modality": []}, lambda it: False),
    "a number": ({"KVP": 120}, lambda it: it.KVP == 120),
    "a number as text": ({"Rows": "512"}, lambda it: it.Rows == 512),
    "a range": ({"EchoTime": (10, 40.5)}, lambda it: it.EchoTime is not None and 10 <= it.EchoTime <= 40.5),
    "an open range": ({"EchoTime": (None, 20)}, lambda it: it.EchoTime is not None and it.EchoTime <= 20),
    "a range open at both ends": ({"EchoTime": (None, None)}, lambda it: it.EchoTime is not None),
    "a range as JSON": ({"Rows": {"from": 300, "to": 600}}, lambda it: 300 <= (it.Rows or 0) <= 600),
    "absent": ({"EchoTime": None}, lambda it: it.EchoTime is None),
    "absent or equal": ({"KVP": [None, 80]}, lambda it: it.KVP in (None, 80)),
    "a wildcard": ({"SeriesDescription": "t2_*mm*"}, lambda it: fnmatchcase(it.SeriesDescription or "", "t2_*mm*")),
    "a wildcard inside": ({"SeriesDescription": "*flair*"}, lambda it: "flair" in (it.SeriesDescription or "")),
    "one letter": ({"ManufacturerModelName": "S??ra"}, lambda it: it.ManufacturerModelName == "Skyra"),
    "wildcards in a list": (
        {"SeriesDescription": ["swi*", "tof*"]},
        lambda it: (it.SeriesDescription or "").startswith(("swi", "tof")),
    ),
    "letters that mean something to a database": (
        {"ProtocolName": "CHEST_*"},
        lambda it: it.BodyPartExamined == "CHEST",
    ),
    "any text": ({"SeriesDescription": "*"}, lambda it: True),
    "a range of dates": (
        {"StudyDate": "20150301-20180630"},
        lambda it: "20150301" <= (it.StudyDate or "") <= "20180630",
    ),
    "since a date": ({"StudyDate": "20200101-"}, lambda it: (it.StudyDate or "") >= "20200101"),
    "until a year": ({"StudyDate": "-2010"}, lambda it: (it.StudyDate or "") < "2011"),
    "dates of Python": (
        {"StudyDate": (date(2015, 3, 1), date(2018, 6, 30))},
        lambda it: "20150301" <= (it.StudyDate or "") <= "20180630",
    ),
    "times": ({"StudyTime": "09-10"}, lambda it: "09" <= (it.StudyTime or "")[:2] <= "10"),
    "ages in years": ({"PatientAge": (40, 60)}, lambda it: "040Y" <= (it.PatientAge or "") <= "060Y"),
    "a moment": (
        {"received_at": ("2024-01-01T10:00", None)},
        lambda it: it.received_at >= datetime(2024, 1, 1, 10, tzinfo=UTC),
    ),
    "words": ({"text": "chest MPR"}, lambda it: {"chest", "mpr"} <= words_of(it)),
    "a beginning": ({"text": "fract*"}, lambda it: any(word.startswith("fract") for word in words_of(it))),
    "words within words": ({"text": "T2_TSE"}, lambda it: {"t2", "tse"} <= words_of(it)),
    "a word nobody wrote": ({"text": "xyzzy"}, lambda it: False),
    "a project": ({"project": "chest-ct"}, lambda it: "chest-ct" in it.projects),
    "projects": ({"project": ["chest-ct", "head-mr"]}, lambda it: bool({"chest-ct", "head-mr"} & set(it.projects))),
    "projects by wildcard": ({"project": "chest-*"}, lambda it: any(each.startswith("chest-") for each in it.projects)),
    "no such project": ({"project": "nobody"}, lambda it: False),
    "a site": ({"site": "coast"}, lambda it: it.site == "coast"),
    "sites and projects": (
        {"site": ["north", "east"], "project": "chest-ct"},
        lambda it: it.site in ("north", "east") and "chest-ct" in it.projects,
    ),
}


def words_of(record: SeriesRecord) -> set[str]:
    texts = (record.SeriesDescription, record.StudyDescription, record.ProtocolName, record.BodyPartExamined)
    return set(split_words(" ".join(text or "" for text in (*texts, record.ContrastBolusAgent))))


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_found_is_what_plain_python_finds(index: Index, name: str) -> None:
    keywords, keep = QUESTIONS[name]
    for person in (STELLA, RHEA, NORA, NOBODY):
        expected = index.keep(keep, person)
        store = index.open_as(person).store
        assert uids(store.find_series(**keywords)) == expected
        assert store.count_series(keywords) == len(expected)
        assert uids(store.find_page(keywords, 5, 3)) == expected[3:8]
        assert uids(store.find_series(**pack_keywords(keywords))) == expected
    assert any(index.keep(keep)) or name in ("none of an empty list", "a word nobody wrote", "no such project")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_two_conditions_together(index: Index, data: st.DataObject) -> None:
    chosen = [
        QUESTIONS[name] for name in data.draw(st.lists(st.sampled_from(sorted(QUESTIONS)), min_size=2, max_size=3))
    ]
    keywords: dict[str, object] = {}
    keeps = []
    for asked, keep in chosen:
        if not set(asked) & set(keywords):
            keywords |= asked
            keeps.append(keep)
    person = data.draw(st.sampled_from([STELLA, RHEA, NORA]))
    expected = index.keep(lambda it: all(keep(it) for keep in keeps), person)
    store = index.open_as(person).store
    assert uids(store.find_page(keywords, SIZE)) == expected
    assert store.read_table(keywords).column("SeriesInstanceUID").to_pylist() == expected
    counted = Counter(it.Modality for it in index.everything if it.SeriesInstanceUID in set(expected))
    assert store.count_values(keywords, "Modality") == counted


def test_pages_put_together_are_everything_once(index: Index) -> None:
    store = index.open_as(NORA).store
    found: list[str] = []
    while page := store.find_page({"Modality": ["CT", "MR"]}, 37, len(found)):
        found += uids(page)
    assert found == index.keep(lambda it: it.Modality in ("CT", "MR"), NORA)


def test_a_table_holds_what_the_records_hold(index: Index) -> None:
    store = index.open_as(RHEA).store
    rows = store.read_table({"Modality": "MR"}).to_pylist()
    assert [SeriesRecord(**row) for row in rows] == store.find_series(Modality="MR")


def test_results_of_people_and_models(index: Index) -> None:
    store = index.open_as(RHEA).store
    labels = {label.SeriesInstanceUID: label.segments[0].label for label in store.list_annotations()}
    findings = {found.SeriesInstanceUID: found.finding for found in store.list_predictions()}
    assert labels
    assert findings
    visible = index.keep(lambda _: True, RHEA)
    asked: dict[str, tuple[dict[str, object], Callable[[str], bool]]] = {
        "drawn": ({"has_segmentation": True}, lambda uid: uid in labels),
        "not drawn": ({"has_segmentation": False}, lambda uid: uid not in labels),
        "a segment": ({"has_segmentation": "Nodule"}, lambda uid: labels.get(uid) == "nodule"),
        "no part of a name": ({"has_segmentation": "nod"}, lambda uid: False),
        "two segments": ({"has_segmentation": ["liver", "lesion"]}, lambda uid: labels.get(uid) in ("liver", "lesion")),
        "found": ({"has_prediction": True}, lambda uid: uid in findings),
        "a finding": ({"has_prediction": "stone"}, lambda uid: findings.get(uid) == "stone"),
        "a model": ({"has_prediction": "unet"}, lambda uid: uid in findings),
        "nothing of either": (
            {"has_prediction": False, "has_segmentation": False},
            lambda uid: uid not in findings and uid not in labels,
        ),
    }
    for keywords, keep in asked.values():
        assert uids(store.find_series(**keywords)) == [uid for uid in visible if keep(uid)]


def test_studies_and_their_counts(index: Index) -> None:
    store = LocalStore(index.settings, NORA)
    mine = [each for each in index.everything if NORA.may_see(each.site, each.projects)]
    expected = list(dict.fromkeys(each.StudyInstanceUID for each in mine if each.Modality == "SEG"))
    found = store.find_studies({"Modality": "SEG"}, 100)
    assert [study.StudyInstanceUID for study in found] == expected
    assert store.find_studies({"Modality": "SEG"}, 2, 1) == found[1:3]
    for study in found:
        listed = [each for each in mine if each.StudyInstanceUID == study.StudyInstanceUID]
        assert study.NumberOfStudyRelatedSeries == len(listed)
        assert study.NumberOfStudyRelatedInstances == sum(each.n_instances for each in listed)
        assert study.ModalitiesInStudy == tuple(sorted({each.Modality for each in listed}))


def test_instances_with_their_series(index: Index) -> None:
    store = LocalStore(index.settings, STELLA)
    found = store.find_instances({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, 1000)
    assert len(found) == len(store.list_annotations())
    assert all(instance.SeriesInstanceUID == parent.SeriesInstanceUID for instance, parent in found)
    [(one, _)] = store.find_instances({"SOPInstanceUID": found[3][0].SOPInstanceUID}, 10)
    assert one == found[3][0]
    assert store.find_instances({"SOPInstanceUID": one.SOPInstanceUID, "Modality": "XA", "project": "x"}, 10) == []
    assert LocalStore(index.settings, NOBODY).find_instances({}, 10) == []


WRONG: list[tuple[dict[str, object], str]] = [
    ({"Modalty": "CT"}, "did you mean Modality"),
    ({"modality": "CT"}, "did you mean Modality"),
    ({"slice_thickness": 1}, "did you mean SliceThickness"),
    ({"xyz": 1}, "known are .*Modality"),
    ({"Rows": "many"}, "Rows is a number"),
    ({"Rows": True}, "Rows is a number"),
    ({"Rows": 512.5}, "Rows is a whole number"),
    ({"Rows": 2**31}, "Rows is a number"),
    ({"KVP": float("nan")}, "KVP is a number"),
    ({"KVP": 10**400}, "KVP is a number"),
    ({"Modality": 5}, "Modality is a text"),
    ({"Modality": "C\0T"}, "no database keeps"),
    ({"Modality": "C\ud800*"}, "no database keeps"),
    ({"Modality": ("CT", "MR", "PT")}, "a tuple is a range"),
    ({"Modality": [["CT"]]}, "not further lists"),
    ({"Rows": {"over": 5}}, "'from': low"),
    ({"PatientAge": ("006M", "002Y")}, "in one unit"),
    ({"received_at": "yesterday"}, "a moment"),
    ({"text": "…"}, "text takes words"),
    ({"text": 5}, "text takes words"),
    ({"has_segmentation": 5}, "the name of a segment"),
    ({"project": 5}, "project is a text"),
    ({"source": "pacs"}, "source takes 'idc'"),
]


@pytest.mark.parametrize(("keywords", "said"), WRONG, ids=lambda value: str(value)[:30])
def test_what_cannot_be_asked_is_refused_with_what_to_do(index: Index, keywords: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        index.open_as(RHEA).store.count_series(keywords)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keyword=st.sampled_from(KEYWORDS),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
        max_leaves=4,
    ),
)
def test_nothing_anybody_asks_is_more_than_refused(index: Index, keyword: str, value: object) -> None:
    store = index.open_as(NORA).store
    try:
        found = store.find_page({keyword: value}, 3)
    except InvalidRequest:
        return
    assert len(found) <= 3


def test_a_query_fetches_no_more_than_is_looked_at(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(index.settings, STELLA)
    fetched: list[int] = []
    find_page = store.find_page

    def count_page(keywords: dict[str, object], limit: int, offset: int = 0) -> list[SeriesRecord]:
        page = find_page(keywords, limit, offset)
        fetched.append(len(page))
        return page

    monkeypatch.setattr(store, "find_page", count_page)
    monkeypatch.setattr(store, "find_series", None)
    found = Catalog(store).search(Modality="CT")
    expected = index.keep(lambda it: it.Modality == "CT")
    assert not fetched
    assert len(found) == len(expected)
    assert found[2].record.SeriesInstanceUID == expected[2]
    assert found[-1].record.SeriesInstanceUID == expected[-1]
    assert [each.record.SeriesInstanceUID for each in found[5:9]] == expected[5:9]
    assert [each.record.SeriesInstanceUID for each in found[-3:]] == expected[-3:]
    assert [each.record.SeriesInstanceUID for each in found[10:0:-4]] == expected[10:0:-4]
    assert found[4:2] == []
    assert sum(fetched) < 30
    assert bool(found)
    assert not Catalog(store).search(Modality="XX")
    with pytest.raises(IndexError, match=f"found {len(expected)}"):
        found[len(expected)]
    assert [each.record.SeriesInstanceUID for each in found] == expected


def test_what_a_notebook_shows(index: Index) -> None:
    found = index.open_as(STELLA).search(Modality="MR", SeriesDescription="<script>*")
    assert "0 series" in found._repr_html_()
    assert "<script>" not in found._repr_html_()
    found = index.open_as(STELLA).search(Modality="MR", EchoTime=(None, 50))
    shown = found._repr_html_()
    assert f"<b>{len(found):,} series</b>: Modality=&#x27;MR&#x27;, EchoTime=(None, 50)" in shown
    assert shown.count("<tr") == 11
    assert f"{len(found) - 10:,} more" in shown
    assert repr(found) == f"<{len(found)} series: Modality='MR', EchoTime=(None, 50)>"


def test_tables_facets_and_sql(index: Index) -> None:
    catalog = index.open_as(RHEA)
    found = catalog.search(Modality=["CT", "MR"])
    counted = found.facets("Manufacturer")
    assert counted.to_dict() == found.df["Manufacturer"].value_counts().to_dict()
    assert counted.index.name == "Manufacturer"
    assert found.facets("KVP").sum() == len(found)
    rows = found.sql(
        "SELECT s.Modality, count(l.id) AS labels, count(p.id) AS predictions FROM series s "
        "LEFT JOIN labels l USING (SeriesInstanceUID) LEFT JOIN predictions p USING (SeriesInstanceUID) GROUP BY ALL"
    )
    drawn = catalog.search(Modality=["CT", "MR"], has_segmentation=True)
    assert rows["labels"].sum() == len(drawn)
    assert rows["predictions"].sum() == len(catalog.search(Modality=["CT", "MR"], has_prediction=True))
    with pytest.raises(InvalidRequest, match="did you mean Manufacturer"):
        found.facets("Manufacturr")
    for statement in ("SELECT", "SELECT * FROM nothing", "SELECT * FROM '/etc/passwd'"):
        with pytest.raises(InvalidRequest, match="cannot be asked"):
            found.sql(statement)


def test_a_public_archive_is_searched_where_it_lies(index: Index) -> None:
    catalog = index.open_as(NORA)
    found = catalog.search(source="idc", Modality="CT", text="lung THIN", SeriesDescription="it's 100%*")
    assert len(found) == 3
    assert found.df["aws_url"].tolist() == [f"s3://open-data/uuid-{number}/*" for number in range(3)]
    assert found.df["StudyDate"].tolist() == ["20010203"] * 3
    assert not found.df["in_house"].any()
    assert found.df["size_bytes"].tolist() == [62_500_000] * 3
    assert catalog.search(source="idc").facets("Modality").to_dict() == {"CT": 3, "SEG": 2}
    assert "s3://open-data" in found._repr_html_()
    joined = catalog.search(Modality="CT").sql("SELECT count(*) FROM series JOIN idc USING (SeriesInstanceUID)")
    assert joined.iloc[0, 0] == 0
    with pytest.raises(InvalidRequest, match="not in this house"):
        found[0]
    for keyword, hint in (("Modalty", "did you mean Modality"), ("has_prediction", "known are .*CollectionID")):
        with pytest.raises(InvalidRequest, match=hint):
            len(catalog.search(source="idc", **{keyword: "CT"}))
    bare = Catalog(LocalStore(index.settings.model_copy(update={"idc_index": None}), NORA))
    with pytest.raises(InvalidRequest, match="AURELIUS_IDC_INDEX"):
        len(bare.search(source="idc"))


def test_a_notebook_completes_keywords(index: Index) -> None:
    catalog = index.open_as(RHEA)
    shell = InteractiveShell()
    shell.user_ns["catalog"] = catalog
    for jedi in (False, True):
        shell.Completer.use_jedi = jedi
        typed = "found = catalog.search(Modality='CT', Slice"
        with provisionalcompleter():
            assert "SliceThickness=" in [each.text for each in shell.Completer.completions(typed, len(typed))]
    assert set(catalog.keywords) >= {"Modality", "EchoTime", "project", "text", "has_segmentation"}
