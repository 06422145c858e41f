"""What only the local store does: admission, leases, the audit log, the schema."""

import pickle
import threading
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from sqlalchemy import inspect

from aurelius_catalog.access.person import Person
from aurelius_catalog.dicom.json_header import make_header
from aurelius_catalog.errors import InvalidRequest, NotDeidentifiable, PermissionDenied
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.deidentified import (
    DeidentifiedFile,
    DeidentifiedStudy,
    describe_deidentified,
    read_derived,
)
from aurelius_catalog.index.schema import metadata
from aurelius_catalog.records import Segment
from aurelius_deidentify.header import Deidentifier, PseudonymKey, load_profile
from aurelius_deidentify.header.deidentified_object import DeidentifiedObject
from support.cohort import Cohort, make_cohort
from support.gate import read_invented

ANTON = Person.of("anton", ["role-annotator", "project-lung"])
ALMA = Person.of("alma", ["role-annotator", "project-lung"])
NODULE = (Segment(number=1, label="nodule"),)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return make_cohort(tmp_path)


def test_the_migrations_make_exactly_the_tables_the_code_describes(cohort: Cohort) -> None:
    found = inspect(open_engine(cohort.settings))
    tables = {name for name in found.get_table_names() if not name.startswith("series_words")}  # SQLite's full text
    assert tables == set(metadata.tables) | {"alembic_version"}
    for name, table in metadata.tables.items():
        assert {column["name"] for column in found.get_columns(name)} == set(table.columns.keys())


def test_a_file_without_the_flag_cannot_pass_the_gate(tmp_path: Path, cohort: Cohort) -> None:
    source = next(cohort.settings.files.rglob("*.dcm"))
    dataset = dcmread(source)
    del dataset.PatientIdentityRemoved
    dataset.save_as(tmp_path / "identified.dcm")
    with pytest.raises(InvalidRequest, match="PatientIdentityRemoved"):
        read_invented(tmp_path / "identified.dcm")


def test_an_identified_file_with_the_flag_set_by_hand_cannot_pass_the_gate(tmp_path: Path, cohort: Cohort) -> None:
    dataset = dcmread(next(cohort.settings.files.rglob("*.dcm")))
    dataset.PatientName, dataset.PatientID, dataset.PatientIdentityRemoved = "Berg^Ada", "447-109", "YES"
    dataset.save_as(tmp_path / "flagged.dcm")
    with open_engine(cohort.settings).begin() as connection:
        for source in (cohort.north_chest, str(dataset.SOPInstanceUID)):  # the latter is no series of the index
            with pytest.raises(InvalidRequest, match="patient and the study"):
                read_derived(connection, tmp_path / "flagged.dcm", source)
    header = make_header(dataset)
    with pytest.raises(InvalidRequest, match="put the file into an inbox"):
        DeidentifiedFile(tmp_path / "flagged.dcm", header, ImplicitVRLittleEndian, (), "0" * 64, 1, object())


def test_a_file_let_in_once_cannot_be_turned_into_another(cohort: Cohort) -> None:
    file = read_invented(next(cohort.settings.files.rglob("*.dcm")))
    with pytest.raises(ValueError, match="seal"):
        replace(file, header={**file.header, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Berg^Ada"}]}})
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(file)


def test_what_a_de_identifier_returns_cannot_be_made_by_hand(cohort: Cohort) -> None:
    key = PseudonymKey(bytes(range(32)))
    session = Deidentifier(key, "north", load_profile("research")).open_study()
    out = session.rewrite(next(cohort.settings.files.rglob("*.dcm")).read_bytes())
    with pytest.raises(ValueError, match="seal"):
        replace(out, pseudonym="Berg^Ada")
    values = {field.name: getattr(out, field.name) for field in fields(out)}
    with pytest.raises(NotDeidentifiable, match="cannot be made by hand"):
        DeidentifiedObject(**values, seal=object())


def test_what_only_looks_like_a_de_identified_file_cannot_pass_the_gate(tmp_path: Path, cohort: Cohort) -> None:
    source = next(cohort.settings.files.rglob("*.dcm"))
    file = read_invented(source)
    likeness = SimpleNamespace(**{name: getattr(file, name) for name in (*vars(file), "StudyInstanceUID")})
    with pytest.raises(InvalidRequest, match="put the file into an inbox"):
        DeidentifiedStudy("north", (likeness,))
    with pytest.raises(InvalidRequest, match="put the files into an inbox"):
        cohort.open_as(Person.service("intake")).add_study(SimpleNamespace(site="north", files=(likeness,)))
    with pytest.raises(InvalidRequest, match="put the file into an inbox"):
        describe_deidentified(source, SimpleNamespace(header=file.header))
    session = Deidentifier(PseudonymKey(bytes(range(32))), "north", load_profile("research")).open_study()
    out = session.rewrite(source.read_bytes())
    (tmp_path / "other.dcm").write_bytes(out.join() + b"\0\0")
    with pytest.raises(InvalidRequest, match="its size is another"):
        describe_deidentified(tmp_path / "other.dcm", out)


def test_only_the_intake_adds_studies(cohort: Cohort) -> None:
    file = read_invented(next(cohort.settings.files.rglob("*.dcm")))
    with pytest.raises(PermissionDenied, match="inbox"):
        cohort.open_as(ANTON).add_study(DeidentifiedStudy("north", (file,)))


def test_adding_a_study_again_changes_nothing(tmp_path: Path, cohort: Cohort) -> None:
    store = cohort.open_as(Person.service("intake"))
    before = store.find_series()
    copies = []
    for number, source in enumerate(sorted((cohort.settings.files).rglob("*.dcm"))):
        if dcmread(source, stop_before_pixels=True).SeriesInstanceUID == cohort.north_chest:
            copy = tmp_path / f"{number}.dcm"
            copy.write_bytes(source.read_bytes())
            copies.append(read_invented(copy))
    store.add_study(DeidentifiedStudy("north", tuple(copies)))
    assert store.find_series() == before


def test_two_annotators_never_hold_the_same_case(cohort: Cohort) -> None:
    anton, alma = cohort.open_as(ANTON), cohort.open_as(ALMA)
    first, second = anton.lease_next("lung"), alma.lease_next("lung")
    assert first is not None
    assert second is not None
    assert {first.SeriesInstanceUID, second.SeriesInstanceUID} == {cohort.north_chest, cohort.south_chest}
    assert anton.lease_next("lung") == first  # asking again renews the lease
    shape = (first.n_frames, first.Rows or 0, first.Columns or 0)
    anton.add_annotation(first.SeriesInstanceUID, np.zeros(shape, np.uint8), NODULE, origin="slicer")
    assert anton.lease_next("lung") is None  # the one is labelled, the other held
    assert alma.lease_next("lung", minutes=-1) == second
    assert anton.lease_next("lung") == second  # alma's lease has run out


def test_versions_of_many_at_once_are_all_kept(cohort: Cohort) -> None:
    labelmap = np.zeros((12, 96, 96), np.uint8)

    def save(number: int) -> None:
        person = Person.of(f"reader{number}", ["role-annotator", "project-lung"])
        cohort.open_as(person).add_annotation(cohort.north_chest, labelmap, NODULE, origin="notebook")

    threads = [threading.Thread(target=save, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saved = cohort.open_as(ANTON).list_annotations(cohort.north_chest)
    assert [each.version for each in saved] == [1, 2, 3, 4, 5, 6]
    assert {each.author for each in saved} == {f"reader{number}" for number in range(6)}


def test_a_segment_keeps_its_name_in_any_script(cohort: Cohort) -> None:
    """The images are in ISO 8859-1 or ASCII, the name of what somebody drew need not be."""
    anton = cohort.open_as(ANTON)
    labelmap = np.ones((12, 96, 96), np.uint8)
    named = (Segment(number=1, label="Rundherd – 腫瘍"),)
    saved = anton.add_annotation(cohort.north_chest, labelmap, named, origin="notebook")
    assert [each.label for each in saved.segments] == ["Rundherd – 腫瘍"]
    written = dcmread(BytesIO(anton.read_file(saved.SOPInstanceUID)))
    assert written.SegmentSequence[0].SegmentLabel == "Rundherd – 腫瘍"
