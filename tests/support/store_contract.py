"""What every `Store` must do; run against the local one and the one over HTTP.

A test class inherits `StoreContract` and provides the fixture ``open_as``, which opens the module's cohort
as one of `servers_catalog.PEOPLE`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidLabel, InvalidRequest, NotFound, PermissionDenied
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.records import DecisionAction, NewPrediction, Segment, SeriesRecord
from aurelius_catalog.store import LabelMap, Store
from support.cohort import SLICES, Cohort, make_cohort

OpenAs = Callable[[str], Store]
NODULE = (Segment(number=1, label="nodule"),)
RESULT = NewPrediction(
    model="unet",
    model_hash="ab" * 32,
    finding="nodule",
    volume_mm3=120.5,
    confidence=0.9,
    uncertainty=0.2,
    segments=NODULE,
)
#: A well-formed UID that no catalog holds.
UNKNOWN = "2.25.1234567890"


@pytest.fixture(scope="class")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="session")
def truth() -> LabelMap:
    return np.ascontiguousarray(make_phantom("ct-chest", 1).truth[SLICES])


class StoreContract:
    def test_person_is_the_one_the_store_was_opened_for(self, open_as: OpenAs) -> None:
        assert open_as("rhea").person == Person.of("rhea", ["role-researcher", "project-lung"])

    def test_each_sees_own_projects_and_sites_only(self, open_as: OpenAs, cohort: Cohort) -> None:
        def seen(name: str) -> set[str]:
            return {record.SeriesInstanceUID for record in open_as(name).find_series(Modality=["CT", "MR"])}

        assert seen("rhea") == {cohort.north_chest, cohort.south_chest}
        assert seen("bram") == {cohort.north_brain}
        assert seen("nora") == {cohort.north_chest, cohort.north_brain}
        assert len(seen("stella")) == 3

    def test_find_by_keyword_list_project_and_number(self, open_as: OpenAs, cohort: Cohort) -> None:
        store = open_as("stella")
        assert [each.Modality for each in store.find_series(Modality="MR")] == ["MR"]
        assert len(store.find_series(Modality={"MR", "CT"})) == 3
        assert len(store.find_series(project="lung", site="south", Modality="CT")) == 1
        assert len(store.find_series(Rows=80, Modality="MR")) == 1
        assert store.find_series(project="lung", Modality="MR") == []
        record = store.find_series(SeriesInstanceUID=cohort.north_chest)[0]
        assert record == store.get_series(cohort.north_chest)
        assert (record.site, record.projects, record.n_instances) == ("north", ("lung",), 12)

    def test_find_pages_counts_facets_and_tables(self, open_as: OpenAs, cohort: Cohort) -> None:
        store = open_as("nora")
        asked: dict[str, object] = {"Modality": ["CT", "MR"], "Rows": (50, None)}
        asked["StudyDate"] = (date(2020, 1, 1), date(2020, 12, 31))
        found = store.find_series(**asked)
        assert {each.SeriesInstanceUID for each in found} == {cohort.north_chest, cohort.north_brain}
        assert [*store.find_page(asked, 1), *store.find_page(asked, 5, 1)] == found
        assert store.count_series(asked) == 2
        assert store.count_values(asked, "BodyPartExamined") == {"CHEST": 1, "HEAD": 1}
        assert store.count_values(asked, "KVP") == {None: 2}
        assert [SeriesRecord(**row) for row in store.read_table(asked).to_pylist()] == found
        assert [each.Modality for each in store.find_series(text="che*")] == ["CT"]
        assert store.find_series(Rows=(None, 50)) == []
        with pytest.raises(InvalidRequest, match="did you mean Modality"):
            store.read_table({"Modalty": "CT"})
        with pytest.raises(InvalidRequest, match="a tuple is a range"):
            store.count_series({"Modality": ("CT", "MR", "PT")})

    def test_unknown_keyword_names_the_nearest(self, open_as: OpenAs) -> None:
        with pytest.raises(InvalidRequest, match="did you mean Modality"):
            open_as("rhea").find_series(Modalty="CT")

    def test_foreign_series_is_refused_and_unknown_is_not_found(self, open_as: OpenAs, cohort: Cohort) -> None:
        store = open_as("rhea")
        foreign = open_as("stella").list_instances(cohort.north_brain)[0]
        questions: list[Callable[[], object]] = [
            lambda: store.get_series(cohort.north_brain),
            lambda: store.list_instances(cohort.north_brain),
            lambda: store.read_frame(foreign, 0),
            lambda: store.read_file(foreign.SOPInstanceUID),
            lambda: store.list_annotations(cohort.north_brain),
            lambda: store.list_predictions(cohort.north_brain),
            lambda: store.add_annotation(
                cohort.north_brain, np.zeros((12, 80, 80), np.uint8), NODULE, origin="notebook"
            ),
            lambda: store.add_prediction(cohort.north_brain, RESULT, None),
        ]
        for ask in questions:
            with pytest.raises(PermissionDenied, match="rhea may not"):
                ask()
        for uid in (UNKNOWN, "not a uid", "../../etc/passwd", "Ünïcode", "%2e%2e"):
            with pytest.raises(NotFound):
                store.get_series(uid)
        with pytest.raises(NotFound):
            store.read_file(UNKNOWN)

    def test_instances_are_in_slice_order_and_frames_are_the_stored_bytes(
        self, open_as: OpenAs, cohort: Cohort
    ) -> None:
        store = open_as("nora")
        listed = store.list_instances(cohort.north_chest)
        positions = [each.ImagePositionPatient[2] for each in listed if each.ImagePositionPatient]
        assert len(positions) == 12
        assert positions == sorted(positions)
        image = make_phantom("ct-chest", 1).image[SLICES]
        for index in (0, 11, -1):
            assert np.array_equal(
                np.frombuffer(store.read_frame(listed[index], 0), "<i2").reshape(96, 96), image[index]
            )
        with pytest.raises(IndexError):
            store.read_frame(listed[0], 1)
        header = dcmread(BytesIO(store.read_file(listed[3].SOPInstanceUID)))
        assert header.SOPInstanceUID == listed[3].SOPInstanceUID
        assert np.array_equal(header.pixel_array, image[3])

    def test_many_frames_are_those_read_one_by_one(self, open_as: OpenAs, cohort: Cohort) -> None:
        store = open_as("nora")
        frames = [
            (each, 0)
            for uid in (cohort.north_chest, cohort.north_brain)
            for each in reversed(store.list_instances(uid))
        ]
        one_by_one = [store.read_frame(*frame) for frame in frames]
        assert store.read_frames(frames) == one_by_one
        assert store.read_frames([]) == []
        chest = frames[:12]
        out = np.zeros((12, 96 * 96 * 2), np.uint8)
        store.fill_frames(chest, out)
        assert [row.tobytes() for row in out] == one_by_one[:12]
        with pytest.raises(IndexError):
            store.read_frames([(frames[0][0], 1)])
        with pytest.raises(InvalidRequest, match=r"one length|cannot take"):
            store.fill_frames(frames, np.zeros((24, 96 * 96 * 2), np.uint8))
        with pytest.raises(PermissionDenied, match="bram may not"):
            open_as("bram").read_frames(chest)
        with pytest.raises(PermissionDenied, match="bram may not"):
            open_as("bram").fill_frames(chest, out)

    def test_labels_are_versions_with_their_author(self, open_as: OpenAs, cohort: Cohort, truth: LabelMap) -> None:
        anton, rhea = open_as("anton"), open_as("rhea")
        first = anton.add_annotation(cohort.north_chest, truth, NODULE, origin="slicer")
        second = rhea.add_annotation(
            cohort.north_chest, truth * 0, NODULE, origin="notebook", comment="nothing ünusual"
        )
        assert (first.version, first.author, first.origin) == (1, "anton", "slicer")
        assert (second.version, second.author, second.comment) == (2, "rhea", "nothing ünusual")
        assert anton.list_annotations(cohort.north_chest) == [first, second]
        assert first in anton.list_annotations()
        assert open_as("bram").list_annotations() == []
        assert dcmread(BytesIO(rhea.read_file(first.SOPInstanceUID))).Modality == "SEG"

    def test_label_that_does_not_fit_is_refused(self, open_as: OpenAs, cohort: Cohort, truth: LabelMap) -> None:
        store = open_as("anton")
        for labelmap in (truth[:5], truth[:, :50], np.zeros((40, 200, 200), np.uint8), truth + 5):
            with pytest.raises(InvalidLabel):
                store.add_annotation(cohort.south_chest, labelmap, NODULE, origin="notebook")
        assert store.list_annotations(cohort.south_chest) == []

    def test_annotating_takes_the_role(self, open_as: OpenAs, cohort: Cohort, truth: LabelMap) -> None:
        with pytest.raises(PermissionDenied, match="nora may not annotate"):
            open_as("nora").add_annotation(cohort.north_chest, truth, NODULE, origin="notebook")

    def test_prediction_awaits_a_decision(self, open_as: OpenAs, cohort: Cohort, truth: LabelMap) -> None:
        rhea, nora = open_as("rhea"), open_as("nora")
        plain = rhea.add_prediction(cohort.north_chest, RESULT, None)
        drawn = rhea.add_prediction(cohort.north_chest, RESULT.model_copy(update={"uncertainty": 0.7}), truth)
        assert plain.requires_review
        assert plain.SOPInstanceUID is None
        assert drawn.SOPInstanceUID is not None
        assert rhea.list_predictions(cohort.north_chest) == [plain, drawn]
        assert [row.prediction.id for row in nora.list_worklist()] == [drawn.id, plain.id]
        with pytest.raises(PermissionDenied, match="rhea may not decide"):
            rhea.add_decision(drawn.id, DecisionAction.ACCEPT, "")
        with pytest.raises(PermissionDenied, match="nora may not predict"):
            nora.add_prediction(cohort.north_chest, RESULT, None)
        with pytest.raises(NotFound):
            nora.add_decision(10**6, DecisionAction.ACCEPT, "")
        decision = nora.add_decision(drawn.id, DecisionAction.OVERRIDE, "vessel, not a nodule")
        assert (decision.person, decision.action) == ("nora", DecisionAction.OVERRIDE)
        rows = nora.list_worklist()
        assert [row.prediction.id for row in rows] == [plain.id, drawn.id]
        assert not rows[1].prediction.requires_review
        assert rows[1].decision == decision

    def test_frozen_dataset(self, open_as: OpenAs, cohort: Cohort) -> None:
        rhea = open_as("rhea")
        frozen = rhea.add_dataset("lung/v1 é", [cohort.south_chest, cohort.north_chest])
        assert rhea.get_dataset(frozen.id) == rhea.get_dataset("lung/v1 é") == frozen
        assert frozen in rhea.list_datasets()
        assert open_as("bram").list_datasets() == []
        with pytest.raises(PermissionDenied):
            open_as("bram").get_dataset(frozen.id)
        with pytest.raises(NotFound):
            rhea.get_dataset("no such dataset")
        with pytest.raises(PermissionDenied):
            rhea.add_dataset("foreign", [cohort.north_brain])
        with pytest.raises(PermissionDenied, match="nora may not freeze"):
            open_as("nora").add_dataset("mine", [cohort.north_chest])

    def test_a_dataset_is_its_content_whatever_it_is_called(
        self, open_as: OpenAs, cohort: Cohort, truth: LabelMap
    ) -> None:
        rhea, bram = open_as("rhea"), open_as("bram")
        first, second = (rhea.add_dataset(name, [cohort.south_chest]) for name in ("south/v1", "south/v2"))
        assert (first.id, first.name, first.n_instances, first.n_labels) == (second.id, "south/v1", 12, 0)
        assert rhea.get_dataset("south/v2") == second
        assert rhea.get_dataset(first.id) == first
        drawn = rhea.add_annotation(cohort.south_chest, truth, NODULE, origin="notebook")
        third = rhea.add_dataset("south/v1", [cohort.south_chest])
        assert third.id != first.id
        assert rhea.get_dataset("south/v1") == third
        assert rhea.list_dataset_objects(first.id, role="label") == []
        [label] = rhea.list_dataset_objects(third.id, cohort.south_chest, "label")
        assert (label.SOPInstanceUID, label.version, label.segments) == (drawn.SOPInstanceUID, drawn.version, NODULE)
        listed = rhea.list_instances(cohort.south_chest)
        held = rhea.list_dataset_objects(first.id)
        assert {(each.SOPInstanceUID, each.sha256) for each in held} == {
            (each.SOPInstanceUID, each.sha256) for each in listed
        }
        assert rhea.list_dataset_series(third.id) == [rhea.get_series(cohort.south_chest)]
        [check] = rhea.verify_dataset(third.id)
        assert (check.SeriesInstanceUID, check.intact, check.changed) == (cohort.south_chest, 13, ())
        for ask in (bram.list_dataset_objects, bram.list_dataset_series, lambda number: [*bram.verify_dataset(number)]):
            with pytest.raises(PermissionDenied, match="bram may not open dataset"):
                ask(first.id)
            with pytest.raises(NotFound):
                ask("0" * 64)
