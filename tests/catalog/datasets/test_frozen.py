"""Frozen datasets: the same content is the same id for good, and what is no longer there is said."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from pydicom import dcmread
from pydicom.uid import generate_uid
from sqlalchemy import create_engine, inspect, text, update

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.errors import DatasetDamaged, InvalidRequest
from aurelius_catalog.index.database import MIGRATIONS, open_engine, writing
from aurelius_catalog.index.deidentified import DeidentifiedStudy
from aurelius_catalog.index.schema import dataset_objects, instances, studies
from aurelius_catalog.local.dataset_summary import read_years
from aurelius_catalog.local.forgetting import Tombstone, forget_rows
from aurelius_catalog.records import Segment
from support.cohort import Cohort, make_cohort
from support.gate import read_invented

RHEA = Person.of("rhea", ["role-researcher", "project-lung"])
NODULE = [Segment(number=1, label="nodule")]


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return make_cohort(tmp_path)


@pytest.fixture
def catalog(cohort: Cohort) -> Catalog:
    return Catalog(cohort.open_as(RHEA))


def find_file(cohort: Cohort, SOPInstanceUID: str) -> Path:
    [path] = cohort.settings.files.rglob(f"{SOPInstanceUID}.dcm")
    return path


def draw(catalog: Catalog, uid: str, value: int = 1) -> str:
    """Draw one voxel as a label version; returns its SOPInstanceUID."""
    labels = np.zeros((12, 96, 96), np.uint8)
    labels[5, 40, 40] = value
    return catalog.store.add_annotation(uid, labels, NODULE, origin="notebook").SOPInstanceUID


def test_anybody_can_compute_the_id_again_from_the_list(catalog: Catalog, cohort: Cohort) -> None:
    draw(catalog, cohort.north_chest)
    with writing(open_engine(cohort.settings)) as connection:
        record = {"profile": "research@1", "sha256": "ab" * 32, "actions": {"X": 3}}
        connection.execute(update(instances).values(deidentification=record))
    dataset = catalog.search(Modality="CT").freeze("lung-v1")
    lines = [f"object {each.sha256}" for each in dataset.instances]
    lines += [f"label {each.sha256}" for each in dataset.labels]
    lines += [f"profile research@1 {'ab' * 32}"]
    told = "\n".join(["aurelius dataset 1", *sorted(lines), ""])
    assert dataset.id == hashlib.sha256(told.encode()).hexdigest()
    assert (len(lines), dataset.record.profiles) == (26, (("research@1", "ab" * 32),))
    assert dataset.id in dataset.citation


def test_what_comes_later_is_not_in_it(catalog: Catalog, cohort: Cohort, tmp_path: Path) -> None:
    draw(catalog, cohort.north_chest)
    dataset = catalog.search(SeriesInstanceUID=cohort.north_chest).freeze("early")
    before = dataset[0].to_xarray().to_numpy()
    late = dcmread(find_file(cohort, dataset[0].instances[-1].SOPInstanceUID))
    late.SOPInstanceUID = late.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    late.ImagePositionPatient[2] += 3
    late.save_as(tmp_path / "late.dcm", enforce_file_format=True)
    intake = cohort.open_as(Person.service("intake"))
    intake.add_study(DeidentifiedStudy("north", (read_invented(tmp_path / "late.dcm"),)))
    catalog.store.add_annotation(cohort.north_chest, np.ones((13, 96, 96), np.uint8), NODULE, origin="notebook")

    again = catalog.dataset("early")
    assert (catalog.series(cohort.north_chest).record.n_instances, again[0].record.n_instances) == (13, 12)
    assert np.array_equal(again[0].to_xarray().to_numpy(), before)
    assert [label.annotation.version for label in again[0].segmentations] == [1]
    assert again[0].label is not None
    assert again[0].label.to_xarray().sum() == 1
    assert again == dataset
    assert again.verify().intact == 13
    grown = catalog.search(SeriesInstanceUID=cohort.north_chest).freeze("early")
    assert grown.id != dataset.id
    assert (len(grown[0].instances), len(grown[0].segmentations)) == (13, 2)


def test_verify_names_what_was_changed_and_what_is_missing(catalog: Catalog, cohort: Cohort) -> None:
    dataset = catalog.search(Modality="CT").freeze("lung-v1")
    steps: list[tuple[int, int]] = []
    whole = dataset.verify(progress=lambda done, of: steps.append((done, of)))
    assert (whole.ok, bool(whole), whole.intact, steps) == (True, True, 24, [(1, 2), (2, 2)])
    assert whole.size_bytes == sum(each.size_bytes for each in dataset.instances) == dataset.record.size_bytes
    touched, lost = dataset[0].instances[0].SOPInstanceUID, dataset[1].instances[3].SOPInstanceUID
    path = find_file(cohort, touched)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    find_file(cohort, lost).unlink()
    found = dataset.verify()
    assert (found.ok, found.intact, found.changed, found.missing) == (False, 22, (touched,), (lost,))
    assert repr(found).startswith("<DAMAGED: 22 of 24 files intact, 1 changed, 1 missing")


def test_a_changed_list_is_noticed(catalog: Catalog, cohort: Cohort) -> None:
    dataset = catalog.search(Modality="CT").freeze("lung-v1")
    this = dataset_objects.c.SOPInstanceUID == dataset[0].instances[0].SOPInstanceUID
    with writing(open_engine(cohort.settings)) as connection:
        connection.execute(update(dataset_objects).where(this).values(sha256="0" * 64))
    with pytest.raises(DatasetDamaged, match="lung-v1"):
        dataset.verify()


def test_what_was_withdrawn_is_named_and_is_no_damage(catalog: Catalog, cohort: Cohort) -> None:
    label = draw(catalog, cohort.north_chest)
    dataset = catalog.search(Modality="CT").freeze("lung-v1")
    gone = {*(each.SOPInstanceUID for each in dataset[0].instances), label}
    assert dataset[0].record.SeriesInstanceUID == cohort.north_chest
    with writing(open_engine(cohort.settings)) as connection:
        forget_rows(connection, Tombstone(dataset[0].record.PatientID, "stella", "asked", datetime.now(UTC)))
    for uid in gone:
        find_file(cohort, uid).unlink()
    left = catalog.dataset(dataset.id)
    found = left.verify()
    assert (found.ok, found.intact, set(found.withdrawn)) == (True, 12, gone)
    assert (len(left), left.withdrawn, left.remaining) == (1, (cohort.north_chest,), (cohort.south_chest,))
    assert [series.record.SeriesInstanceUID for series in left] == [cohort.south_chest]
    assert (left.id, left.segments) == (dataset.id, {})
    assert "1 withdrawn" in repr(left)


def test_card_counts_what_is_in_it(catalog: Catalog, cohort: Cohort) -> None:
    draw(catalog, cohort.north_chest)
    with writing(open_engine(cohort.settings)) as connection:
        connection.execute(update(studies).where(studies.c.site == "south").values(flags=["face"]))
    dataset = catalog.search(Modality="CT").freeze("<script>alert(1)</script>")
    page = dataset.card().html
    text_of = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for told in (
        "2 patients 2 studies 2 series 24 images 1 label versions 25 files",
        "CT 2 2",
        "CHEST 2 2",
        "female 2",
        "60–69 2",
        "Aurelius 2 2",
        "north 1 1 south 1 1",
        "1 of 2 series are labelled; label versions: 1. series patients nodule 1 1",
        "CT PixelSpacing mm 3.5 3.5 3.5",
        "ManufacturerModelName all 2 of 2 100 %",
        "Flag face on 1 series of 1 patients: the face could be made from the voxels",
        "For use inside this house only.",
        f"aurelius:sha256:{dataset.id}",
    ):
        assert told in text_of
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "srcdoc=" in dataset.card()._repr_html_()


def test_card_is_about_what_is_left(catalog: Catalog, cohort: Cohort, tmp_path: Path) -> None:
    dataset = catalog.search(Modality="CT").freeze("lung-v1")
    with writing(open_engine(cohort.settings)) as connection:
        forget_rows(connection, Tombstone("north-ct-chest-1", "stella", "asked", datetime.now(UTC)))
    page = dataset.card().save(tmp_path / "card.html").read_text()
    assert "1 of 2 series are gone" in page
    assert "<b>1</b>patients" in page
    with writing(open_engine(cohort.settings)) as connection:
        forget_rows(connection, Tombstone("south-ct-chest-2", "stella", "asked", datetime.now(UTC)))
    assert "<b>0</b>patients" in dataset.card().html


@pytest.mark.parametrize(
    ("age", "years"),
    [("061Y", 61), ("006M", 0.5), ("010D", 10 / 365.25), ("003W", 21 / 365.25), ("", None), ("6", None)],
)
def test_ages_are_read_in_years(age: str, years: float | None) -> None:
    assert read_years(age) == (None if years is None else pytest.approx(years))


def test_an_empty_search_and_an_empty_name_freeze_nothing(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequest, match="found none"):
        catalog.search(Modality="PT").freeze("nothing")
    with pytest.raises(InvalidRequest, match="needs a name"):
        catalog.search(Modality="CT").freeze("  ")
    assert catalog.datasets() == []


def test_datasets_of_before_keep_their_old_id_as_a_name(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'old.sqlite'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    sha256 = [character * 64 for character in "ab"]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(
            text("INSERT INTO studies (\"StudyInstanceUID\", \"PatientID\", site) VALUES ('1.2', 'P', 'north')")
        )
        connection.execute(
            text(
                'INSERT INTO series ("SeriesInstanceUID", "StudyInstanceUID", "Modality", "SOPClassUID", n_instances, '
                "n_frames, size_bytes, received_at) VALUES ('1.2.3', '1.2', 'CT', '1.2', 2, 2, 20, '2026-01-01')"
            )
        )
        for number, digest in enumerate(sha256):
            row = {"uid": f"1.2.3.{number}", "sha256": digest, "record": '{"profile": "research@1", "sha256": "cd"}'}
            connection.execute(
                text(
                    'INSERT INTO instances ("SOPInstanceUID", "SeriesInstanceUID", "SOPClassUID", path, sha256, '
                    'size_bytes, "TransferSyntaxUID", frames, header, deidentification) VALUES '
                    "(:uid, '1.2.3', '1.2', 'x', :sha256, 10, '1.2', '[]', '{}', :record)"
                ),
                row,
            )
        for number, name in (("old-1", "lung"), ("old-2", "lung again")):
            values = {"id": number, "name": name}
            made = "'rhea', '2026-01-02 03:04:05.000000'"
            connection.execute(text(f"INSERT INTO datasets VALUES (:id, :name, {made})"), values)  # noqa: S608
            connection.execute(
                text("INSERT INTO dataset_series (dataset_id, \"SeriesInstanceUID\") VALUES (:id, '1.2.3')"), values
            )
        command.upgrade(config, "0006")
        lines = sorted([*(f"object {digest}" for digest in sha256), "profile research@1 cd"])
        number = hashlib.sha256("\n".join(["aurelius dataset 1", *lines, ""]).encode()).hexdigest()
        names = connection.execute(text("SELECT dataset_id, name, created_by FROM dataset_names ORDER BY id")).all()
        assert [tuple(row) for row in names] == [
            (number, name, "rhea") for name in ("lung", "old-1", "lung again", "old-2")
        ]
        assert connection.execute(text("SELECT count(*) FROM dataset_objects")).scalar() == 2
        [row] = connection.execute(text("SELECT * FROM datasets")).mappings()
        assert (row["id"], row["n_instances"], row["size_bytes"]) == (number, 2, 20)
        [row] = connection.execute(text("SELECT * FROM dataset_series")).mappings()
        assert (row["dataset_id"], row["n_instances"], row["n_frames"]) == (number, 2, 2)
        command.downgrade(config, "0005")
        assert "name" in {column["name"] for column in inspect(connection).get_columns("datasets")}
        assert connection.execute(text("SELECT name FROM datasets")).scalars().all() == ["lung"]
    engine.dispose()
