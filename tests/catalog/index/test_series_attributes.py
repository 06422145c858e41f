"""What the index keeps of a series: attributes of all kinds of objects, across migrations, nothing once it is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from pydicom import Dataset, dcmread
from sqlalchemy import text

from aurelius_catalog.access.person import Person
from aurelius_catalog.dicom.json_header import make_header
from aurelius_catalog.index.database import MIGRATIONS, open_engine, writing
from aurelius_catalog.index.result_names import write_result_names
from aurelius_catalog.index.schema import series
from aurelius_catalog.index.series_attributes import join_words, read_series_attributes, split_words
from aurelius_catalog.local.forgetting import Tombstone, forget_rows
from aurelius_catalog.records import NewPrediction, Segment, SeriesRecord
from support.cohort import Cohort, make_cohort
from support.servers_catalog import PEOPLE

MAKER = Person.of("mila", ["role-researcher", "role-steward"])
SOURCES = {
    "ct-ge": {"Modality": "CT", "KVP": 120.0},
    "mr-enhanced-multiframe": {"Modality": "MR"},
}


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return make_cohort(tmp_path)


def test_a_record_has_a_field_for_every_column() -> None:
    hidden = {"id", "scope", "words", "labelled", "predicted"}
    assert set(SeriesRecord.model_fields) == set(series.columns.keys()) - hidden | {"site", "projects", "flags"}


def test_attributes_of_nested_and_of_odd_values() -> None:
    dataset = Dataset()
    dataset.Modality, dataset.SeriesDescription = "MR", "x" * 64
    group, timing, echo, measures = Dataset(), Dataset(), Dataset(), Dataset()
    timing.RepetitionTime, timing.FlipAngle = 2000.0, 9.0
    echo.EffectiveEchoTime = 4.5
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.9], 3.0
    group.MRTimingAndRelatedParametersSequence, group.MREchoSequence = [timing], [echo]
    group.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence = [group]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    header = make_header(dataset)
    header["00280010"] = {"vr": "US", "Value": [2**40]}  # more rows than any database keeps
    found = read_series_attributes(header)
    wanted = {"RepetitionTime": 2000.0, "FlipAngle": 9.0, "EchoTime": 4.5, "PixelSpacing": 0.7, "SliceThickness": 3.0}
    assert wanted.items() <= found.items()
    assert found["ImageType"] == "ORIGINAL\\PRIMARY\\M"
    assert found["Rows"] is None
    assert found["KVP"] is None


def test_attributes_of_real_files(data: Path) -> None:
    for folder, wanted in SOURCES.items():
        path = next(each for each in sorted((data / folder).rglob("*")) if each.is_file() and each.suffix != ".md")
        found = read_series_attributes(make_header(dcmread(path, stop_before_pixels=True)))
        assert wanted.items() <= found.items()
        assert found["PixelSpacing"]
    assert found["EchoTime"]
    assert found["RepetitionTime"]


def test_words_are_found_however_they_are_written() -> None:
    assert split_words("T2_TSE-tra (3mm), Ödem, naïve; ГОЛОВА") == [
        "t2",
        "tse",
        "tra",
        "3mm",
        "odem",
        "naive",
        "голова",
    ]
    assert join_words({"SeriesDescription": "Chest CT chest", "StudyDescription": None}) == "chest ct"


def test_what_was_there_before_keeps_its_rights_and_can_be_found(cohort: Cohort) -> None:
    before = {name: cohort.open_as(Person.of(name, groups)).find_series() for name, groups in PEOPLE.items()}
    migrate(cohort, "0004")
    with open_engine(cohort.settings).connect() as connection:
        held = connection.execute(text("SELECT project FROM study_projects")).scalars().all()
        assert sorted(held) == ["brain", "lung", "lung"]
    migrate(cohort, "head")
    for name, groups in PEOPLE.items():
        store = cohort.open_as(Person.of(name, groups))
        assert store.find_series() == before[name]
        assert store.find_series(text="chest") == [each for each in before[name] if each.BodyPartExamined == "CHEST"]


def test_what_is_said_of_a_series_is_found_at_once_and_after_a_migration(cohort: Cohort) -> None:
    store = cohort.open_as(MAKER)
    uid = cohort.north_chest
    record = store.get_series(uid)
    asked: dict[str, list[dict[str, object]]] = {
        "drawn": [{"has_segmentation": name} for name in (True, "NODULE", "GRAUER STAR \u00dc", ["x", "nodule"])],
        "not drawn": [{"has_segmentation": name} for name in (False, "nod", '"', "%", "")],
        "found": [{"has_prediction": name} for name in (True, "unet", "100% bleed")],
        "not found": [{"has_prediction": name} for name in (False, "UNET", "bleed", "unet%")],
    }

    def check() -> None:
        for said, questions in asked.items():
            for keywords in questions:
                found = uid in [each.SeriesInstanceUID for each in store.find_series(**keywords)]
                assert found == (said in ("drawn", "found")), keywords

    labelmap = np.zeros((record.n_frames, record.Rows or 0, record.Columns or 0), np.uint8)
    labelmap[4, 10:20, 10:20] = 1
    assert store.find_series(has_segmentation=True) == store.find_series(has_prediction=True) == []
    store.add_annotation(uid, labelmap, [Segment(number=1, label="Nodule")], origin="notebook")
    store.add_annotation(uid, labelmap, [Segment(number=1, label="grauer star \u00fc")], origin="notebook")
    found = {"finding": "100% bleed", "volume_mm3": 1.0, "confidence": 0.5, "uncertainty": 0.5}
    store.add_prediction(uid, NewPrediction(model="unet", model_hash="0" * 64, **found), None)
    check()
    migrate(cohort, "0006", "head")
    check()
    assert len(store.find_series(has_segmentation=False, Modality=["CT", "MR"])) == 2
    with writing(open_engine(cohort.settings)) as connection:  # what stood on this patient's files, on another's series
        other = text('UPDATE annotations SET "SeriesInstanceUID" = :uid')
        connection.execute(other, {"uid": cohort.south_chest})
        write_result_names(connection, [uid, cohort.south_chest])
    assert [each.SeriesInstanceUID for each in store.find_series(has_segmentation="nodule")] == [cohort.south_chest]
    with writing(open_engine(cohort.settings)) as connection:
        forget_rows(connection, Tombstone("north-ct-chest-1", "stella", "asked for it", datetime.now(UTC)))
    assert store.find_series(has_segmentation=True) == []


def migrate(cohort: Cohort, *steps: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    for step in steps:
        with writing(open_engine(cohort.settings)) as connection:
            config.attributes["connection"] = connection
            (command.upgrade if step == "head" else command.downgrade)(config, step)


def test_words_of_a_withdrawn_patient_are_gone_from_the_file(cohort: Cohort) -> None:
    engine = open_engine(cohort.settings)
    place = cohort.settings.home / "catalog" / "index.sqlite"
    with writing(engine) as connection:
        this = series.c.SeriesInstanceUID == cohort.north_chest
        connection.execute(series.update().where(this).values(words="chest quixotic"))
    store = cohort.open_as(Person.of("stella", PEOPLE["stella"]))
    assert len(store.find_series(text="quixotic")) == 1
    checkpoint(cohort)
    assert b"quixotic" in place.read_bytes()
    with writing(engine) as connection:
        forget_rows(connection, Tombstone("north-ct-chest-1", "stella", "asked for it", datetime.now(UTC)))
    assert store.find_series(text="quixotic") == []
    checkpoint(cohort)
    assert b"quixotic" not in place.read_bytes()
    assert len(store.find_series(text="chest")) == 1


def checkpoint(cohort: Cohort) -> None:
    with open_engine(cohort.settings).connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
