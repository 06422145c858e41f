"""An index made before the three packages were cut: it opens, and says what it said.

``index_before_the_redesign.sql`` is the dump of an index that the version before made of an invented chest of three
slices (north, project lung by rule) and one label by anton.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import PermissionDenied
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.settings import CatalogSettings
from aurelius_intake.audit.verification import check_log

SERIES = "2.25.1002"
ANTON = Person.of("anton", ["role-annotator", "site-north"])


@pytest.fixture
def settings(tmp_path: Path) -> CatalogSettings:
    folder = tmp_path / "catalog"
    folder.mkdir()
    dump = Path(__file__).with_name("index_before_the_redesign.sql").read_text()
    index = sqlite3.connect(folder / "index.sqlite")
    index.executescript(dump)
    index.close()
    return CatalogSettings(home=tmp_path)


def test_what_was_there_is_found_as_before(settings: CatalogSettings) -> None:
    store = LocalStore(settings, ANTON)
    [record] = store.find_series(Modality="CT")
    assert (record.SeriesInstanceUID, record.PatientID, record.n_instances) == (SERIES, "AUR-OLD", 3)
    assert store.count_values({}, "BodyPartExamined") == {"CHEST": 1, None: 1}
    assert [each.PatientID for each in store.find_studies({}, 10)] == ["AUR-OLD"]
    instances = store.list_instances(SERIES)
    assert [each.SOPInstanceUID for each in instances] == ["2.25.10030", "2.25.10031", "2.25.10032"]
    assert all(len(each.frames) == 1 for each in instances)
    [label] = store.list_annotations(SERIES)
    assert (label.author, label.version, label.segments[0].label) == ("anton", 1, "nodule")


def test_rights_are_as_before(settings: CatalogSettings) -> None:
    stranger = LocalStore(settings, Person.of("bram", ["role-researcher", "project-brain"]))
    assert stranger.find_series() == []
    with pytest.raises(PermissionDenied):
        stranger.get_series(SERIES)


def test_its_audit_log_is_whole_and_goes_on(settings: CatalogSettings) -> None:
    LocalStore(settings, ANTON).list_instances(SERIES)
    with open_engine(settings).begin() as connection:
        finding = check_log(connection, None, None)
    assert finding.faults == []
    assert finding.events == 3
