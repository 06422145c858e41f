"""The catalog on this machine: an index, a folder of DICOM files, and one person looking at them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import SecretStr
from pydicom import Dataset, FileDataset, dcmread
from sqlalchemy import Connection, delete, insert, update

from aurelius_catalog import index, ledger, search
from aurelius_catalog.admission import add_version, index_study, link_segmentations, list_known, place_files
from aurelius_catalog.audit import append_event, record_event
from aurelius_catalog.database import open_engine, writing
from aurelius_catalog.datasets import register
from aurelius_catalog.datasets.card import render_card
from aurelius_catalog.datasets.summary import summarise
from aurelius_catalog.datasets.verification import check_list, find_paths, verify_files
from aurelius_catalog.deidentified import DeidentifiedStudy, read_deidentified
from aurelius_catalog.errors import InvalidLabel, PermissionDenied, Withdrawn
from aurelius_catalog.frame_files import Span, fill_spans, read_spans
from aurelius_catalog.frame_places import PLACES
from aurelius_catalog.frames import is_encapsulated, strip_items
from aurelius_catalog.labels import write_segmentation
from aurelius_catalog.media import DICOM
from aurelius_catalog.model import (
    AnnotationRecord,
    DatasetCheck,
    DatasetObject,
    DatasetRecord,
    DecisionAction,
    DecisionRecord,
    InstanceRecord,
    LeaseRecord,
    NewPrediction,
    PredictionRecord,
    Segment,
    SeriesRecord,
    SlideRecord,
    StudyRecord,
    WorklistRow,
)
from aurelius_catalog.openings import OPENINGS
from aurelius_catalog.person import Action, Person
from aurelius_catalog.projects import load_rules
from aurelius_catalog.schema import leases, predictions
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.store import LabelMap
from aurelius_catalog.withdrawal_rows import is_withdrawn, refuse_withdrawn

if TYPE_CHECKING:
    from aurelius_catalog.slides.shelf import OpenedSlide


class LocalStore:
    """The `Store` protocol over this machine's index and files.

    Parameters
    ----------
    settings
        Where index and files are.
    person
        Whose eyes these are: every method refuses what this person may not do.
    """

    def __init__(self, settings: CatalogSettings, person: Person) -> None:
        self.settings = settings
        self.person = person
        self._engine = open_engine(settings)

    def __reduce__(self) -> tuple[type[LocalStore], tuple[CatalogSettings, Person]]:
        # Another process opens the index anew, and needs no key of the vault for it.
        return LocalStore, (self.settings.model_copy(update={"vault_key": SecretStr("")}), self.person)

    # -- looking ---------------------------------------------------------------------------------

    def find_series(self, **keywords: object) -> list[SeriesRecord]:
        """Return the visible series that match; see `Store.find_series`."""
        with self._engine.begin() as connection:
            return search.find_page(connection, self.person, keywords, None)

    def find_page(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[SeriesRecord]:
        """Return a page of the visible series that match; see `Store.find_page`."""
        with self._engine.begin() as connection:
            return search.find_page(connection, self.person, keywords, limit, offset)

    def count_series(self, keywords: Mapping[str, object]) -> int:
        """Return how many visible series match; see `Store.count_series`."""
        with self._engine.begin() as connection:
            return search.count_series(connection, self.person, keywords, self.settings.idc_index)

    def count_values(self, keywords: Mapping[str, object], keyword: str) -> dict[Any, int]:
        """Return how many visible series have which value; see `Store.count_values`."""
        with self._engine.begin() as connection:
            return search.count_values(connection, self.person, keywords, keyword, self.settings.idc_index)

    def read_table(self, keywords: Mapping[str, object]) -> pa.Table:
        """Return everything that matches as one table; see `Store.read_table`."""
        with self._engine.begin() as connection:
            return search.read_table(connection, self.person, keywords, self.settings.idc_index)

    def find_studies(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[StudyRecord]:
        """Return a page of the visible studies that have a series that matches, with counts over all their series."""
        with self._engine.begin() as connection:
            return search.find_studies(connection, self.person, keywords, limit, offset)

    def find_instances(
        self, keywords: Mapping[str, object], limit: int, offset: int = 0
    ) -> list[tuple[InstanceRecord, SeriesRecord]]:
        """Return a page of the visible instances that match, each with its series."""
        with self._engine.begin() as connection:
            return search.find_instances(connection, self.person, keywords, limit, offset)

    def get_series(self, SeriesInstanceUID: str) -> SeriesRecord:
        """Return one series; see `Store.get_series`."""
        with self._engine.begin() as connection:
            return index.get_series(connection, self.person, SeriesInstanceUID)

    def list_instances(self, SeriesInstanceUID: str) -> list[InstanceRecord]:
        """Return the instances of a series in slice order, and record that the series was opened."""
        with self._engine.begin() as connection:
            index.get_series(connection, self.person, SeriesInstanceUID)
            listed = index.list_instances(connection, SeriesInstanceUID)
        append_event(self._engine, self.person, "open series", SeriesInstanceUID, {"instances": len(listed)})
        OPENINGS.note_opening(self._engine, self.person, SeriesInstanceUID)
        return listed

    def note_reading(self, SeriesInstanceUID: str) -> None:
        """Make sure the person may read a series and that the audit log says so; see `Openings.note_reading`."""
        OPENINGS.note_reading(self._engine, self.person, SeriesInstanceUID)

    def read_frame(self, instance: InstanceRecord, index: int) -> bytes:
        """Return one frame as stored; see `Store.read_frame`.

        Raises
        ------
        IndexError
            If the instance has no such frame.
        """
        offset, length = instance.frames[index]
        self.note_reading(instance.SeriesInstanceUID)
        with self._path(instance).open("rb") as file:
            data = os.pread(file.fileno(), length, offset)
        return strip_items(data) if is_encapsulated(instance.TransferSyntaxUID) else data

    def read_frames(self, frames: Sequence[tuple[InstanceRecord, int]]) -> list[bytes]:
        """Return many frames as stored, read side by side; see `Store.read_frames`.

        Raises
        ------
        IndexError
            If an instance has no such frame.
        """
        found = read_spans(self._locate(frames))
        return [
            strip_items(data) if is_encapsulated(instance.TransferSyntaxUID) else data
            for (instance, _), data in zip(frames, found, strict=True)
        ]

    def fill_frames(self, frames: Sequence[tuple[InstanceRecord, int]], out: NDArray[np.uint8]) -> None:
        """Read native frames straight into an array; see `Store.fill_frames`.

        Raises
        ------
        IndexError
            If an instance has no such frame.
        """
        fill_spans(self._locate(frames), out)

    def find_spans(self, SeriesInstanceUID: str, frames: Sequence[tuple[str, int]]) -> list[Span]:
        """Return where frames of a series lie, after `note_reading`; ``frames`` holds SOPInstanceUIDs and numbers."""
        self.note_reading(SeriesInstanceUID)
        return PLACES.find_spans(self._engine, self.settings.files, SeriesInstanceUID, frames)

    def read_file(self, SOPInstanceUID: str) -> bytes:
        """Return a whole file as stored, and record that it was opened."""
        return self.find_file(SOPInstanceUID)[0].read_bytes()

    def find_file(self, SOPInstanceUID: str) -> tuple[Path, str]:
        """Return where a file is and its media type, and record that it was opened; slides are too large to hand out.

        Nobody may write to it: it is the catalog's own.
        """
        instance = self._visible(SOPInstanceUID)
        with writing(self._engine) as connection:
            record_event(connection, self.person, "open instance", SOPInstanceUID)
        return self._path(instance), instance.media_type

    def list_headers(self, SeriesInstanceUID: str, SOPInstanceUID: str | None = None) -> dict[str, str]:
        """Return the headers of a series, or of one instance, as DICOM JSON text without long values; by their UIDs."""
        self.note_reading(SeriesInstanceUID)
        with self._engine.begin() as connection:
            return index.list_headers(connection, SeriesInstanceUID, SOPInstanceUID)

    # -- slides ----------------------------------------------------------------------------------

    def describe_slide(self, SeriesInstanceUID: str) -> SlideRecord:
        """Return the levels of a slide; see `Store.describe_slide`."""
        return self._take_slide(SeriesInstanceUID).record

    def read_slide_region(
        self, SeriesInstanceUID: str, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Return a region of a slide; see `aurelius_catalog.slides.tiles.read_region`."""
        return self._take_slide(SeriesInstanceUID).read_region(level, x, y, width, height)

    def read_slide_tile(self, SeriesInstanceUID: str, level: int, column: int, row: int) -> bytes:
        """Return a DeepZoom tile of a slide; see `aurelius_catalog.slides.tiles.make_tile`."""
        return self._take_slide(SeriesInstanceUID).make_tile(level, column, row)

    def _take_slide(self, SeriesInstanceUID: str) -> OpenedSlide:
        from aurelius_catalog.slides.shelf import SHELF  # OpenSlide is wanted for slides only

        return SHELF.take(self, SeriesInstanceUID)

    # -- labels ----------------------------------------------------------------------------------

    def list_annotations(self, SeriesInstanceUID: str | None = None) -> list[AnnotationRecord]:
        """Return label versions; see `Store.list_annotations`."""
        if SeriesInstanceUID is not None:
            self.get_series(SeriesInstanceUID)
        with self._engine.begin() as connection:
            return ledger.list_annotations(connection, self.person, SeriesInstanceUID)

    def add_annotation(
        self,
        SeriesInstanceUID: str,
        labelmap: LabelMap,
        segments: Sequence[Segment],
        *,
        origin: str,
        comment: str = "",
    ) -> AnnotationRecord:
        """Store a label as DICOM SEG and as the next version of this person; see `Store.add_annotation`.

        Raises
        ------
        InvalidLabel
            If shape or values do not fit the series.
        """
        self.person.require(Action.ANNOTATE)
        record = self.get_series(SeriesInstanceUID)
        study = self._write_label(record, labelmap, segments, author=self.person.name)
        places, uid = self._place(study), study.files[0].SOPInstanceUID
        with writing(self._engine) as connection:
            self._index(connection, study, places)
            listed = [segment.model_dump() for segment in segments]
            number = add_version(connection, SeriesInstanceUID, self.person.name, origin, uid, listed, comment or None)
            connection.execute(delete(leases).where(leases.c.SeriesInstanceUID == SeriesInstanceUID))
            record_event(connection, self.person, "annotate", SeriesInstanceUID, {"SOPInstanceUID": uid})
            return ledger.get_annotation(connection, number)

    def lease_next(self, project: str | None = None, minutes: float = 30) -> SeriesRecord | None:
        """Return a series for this person to label, held for them for a while; None if there is none left.

        A series qualifies if it is a CT or MR volume the person may see, nobody has drawn on it yet, and
        nobody else holds it. The person's own lease is renewed rather than a second one handed out.
        """
        self.person.require(Action.ANNOTATE)
        now = datetime.now(UTC)
        with writing(self._engine) as connection:
            connection.execute(delete(leases).where(leases.c.until < now))
            statement = ledger.select_unlabelled(self.person)
            found = index.to_series(connection, list(connection.execute(statement).mappings()))
            fitting = [record for record in found if project is None or project in record.projects]
            if not fitting:
                return None
            uid = fitting[0].SeriesInstanceUID
            connection.execute(delete(leases).where(leases.c.SeriesInstanceUID == uid))
            until = now + timedelta(minutes=minutes)
            connection.execute(insert(leases).values(SeriesInstanceUID=uid, person=self.person.name, until=until))
            record_event(connection, self.person, "lease", uid)
            return fitting[0]

    def list_leases(self) -> list[LeaseRecord]:
        """Return who holds which visible series at this moment."""
        with self._engine.begin() as connection:
            return ledger.list_leases(connection, self.person)

    def add_result(self, dataset: FileDataset, file: Path, StudyInstanceUID: str | None = None) -> None:
        """Let in what this person derived from images; a SEG becomes their next label of the series it was drawn on.

        Parameters
        ----------
        dataset
            As `results.read_result` reads it; written back with its author.
        file
            Where it is, on the file system of the catalog; it is moved.
        StudyInstanceUID
            The study it must belong to; None for the one it names.

        Raises
        ------
        ResultRefused
            Saying what is wrong with it.
        PermissionDenied
            If this person neither annotates nor predicts.
        """
        from aurelius_catalog import results  # the way in decodes and reads pictures; who only looks needs none of that

        results.require_author(self.person)
        study = str(dataset.StudyInstanceUID)
        if StudyInstanceUID not in (None, study):
            raise results.ResultRefused(results.DOES_NOT_FIT, "It belongs to another study than the address says.")
        held = self.find_page({"StudyInstanceUID": study}, 1)
        if not held:
            message = f"There is no study {study} that {self.person.name} may open."
            raise results.ResultRefused(results.NOT_ALLOWED, message)
        source = file.read_bytes()
        with self._engine.begin() as connection:
            header = results.read_header(connection, held[0])
            results.seal_result(dataset, self.person, header)
            profile = results.load_house_profile(self.settings.intake_profile)
            results.check_result(connection, dataset, source, held[0], header, profile)
        dataset.save_as(file, enforce_file_format=True)
        entry = DeidentifiedStudy(held[0].site, (read_deidentified(file),))
        places, uid = self._place(entry), entry.files[0].SOPInstanceUID
        with writing(self._engine) as connection:
            if self._index(connection, entry, places):
                results.link_result(connection, dataset, self.person)
                record_event(connection, self.person, "store result", uid, {"SOPClassUID": str(dataset.SOPClassUID)})
            else:
                results.require_same(connection, entry.files[0])

    # -- predictions and decisions ---------------------------------------------------------------

    def list_predictions(self, SeriesInstanceUID: str | None = None) -> list[PredictionRecord]:
        """Return what models found; see `Store.list_predictions`."""
        if SeriesInstanceUID is not None:
            self.get_series(SeriesInstanceUID)
        with self._engine.begin() as connection:
            return ledger.list_predictions(connection, self.person, SeriesInstanceUID)

    def add_prediction(
        self, SeriesInstanceUID: str, prediction: NewPrediction, labelmap: LabelMap | None
    ) -> PredictionRecord:
        """Store a model's result; see `Store.add_prediction`."""
        self.person.require(Action.PREDICT)
        record = self.get_series(SeriesInstanceUID)
        study = None
        if labelmap is not None and labelmap.any():
            algorithm = (prediction.model, prediction.model_hash[:16])
            study = self._write_label(
                record, labelmap, prediction.segments, author=prediction.model, algorithm=algorithm
            )
        places = self._place(study) if study else {}
        with writing(self._engine) as connection:
            if study:
                self._index(connection, study, places)
            uid = study.files[0].SOPInstanceUID if study else None
            number = ledger.add_prediction(connection, SeriesInstanceUID, prediction, uid)
            record_event(connection, self.person, "predict", SeriesInstanceUID, {"model": prediction.model})
            return ledger.get_prediction(connection, number)

    def list_worklist(self) -> list[WorklistRow]:
        """Return the visible predictions in the order they want attention; see `Store.list_worklist`."""
        with self._engine.begin() as connection:
            return ledger.list_worklist(connection, self.person)

    def add_decision(self, prediction_id: int, action: DecisionAction, comment: str) -> DecisionRecord:
        """Store this person's word on a prediction; see `Store.add_decision`."""
        self.person.require(Action.DECIDE)
        action = DecisionAction(action)
        with writing(self._engine) as connection:
            prediction = ledger.get_prediction(connection, prediction_id)
            index.get_series(connection, self.person, prediction.SeriesInstanceUID)
            decision = ledger.add_decision(connection, prediction_id, self.person.name, action, comment)
            reviewed = update(predictions).where(predictions.c.id == prediction_id).values(requires_review=False)
            connection.execute(reviewed)
            record_event(connection, self.person, action, prediction.SeriesInstanceUID, {"prediction": prediction_id})
            return decision

    # -- frozen datasets -------------------------------------------------------------------------

    def list_datasets(self) -> list[DatasetRecord]:
        """Return the datasets whose every series the person may see; see `Store.list_datasets`."""
        with self._engine.begin() as connection:
            return register.list_datasets(connection, self.person)

    def get_dataset(self, id_or_name: str) -> DatasetRecord:
        """Return one dataset; see `Store.get_dataset`.

        Raises
        ------
        PermissionDenied
            If it holds a series this person may not see.
        """
        with self._engine.begin() as connection:
            return register.get_dataset(connection, self.person, id_or_name)

    def add_dataset(self, name: str, SeriesInstanceUIDs: Sequence[str]) -> DatasetRecord:
        """Freeze series under a name; see `Store.add_dataset`."""
        if not self.person.sees_everything:
            self.person.require(Action.FREEZE)
        with writing(self._engine) as connection:
            record = register.add_dataset(connection, self.person, name, SeriesInstanceUIDs)
            record_event(connection, self.person, "freeze", record.id, {"name": name})
            return record

    def list_dataset_series(self, dataset_id: str) -> list[SeriesRecord]:
        """Return the series of a dataset; see `Store.list_dataset_series`."""
        with self._engine.begin() as connection:
            record = register.get_dataset(connection, self.person, dataset_id)
            return register.list_series(connection, self.person, record.id)

    def list_dataset_objects(
        self, dataset_id: str, SeriesInstanceUID: str | None = None, role: str | None = None
    ) -> list[DatasetObject]:
        """Return what a dataset holds; see `Store.list_dataset_objects`."""
        with self._engine.begin() as connection:
            record = register.get_dataset(connection, self.person, dataset_id)
            return register.list_objects(connection, record.id, SeriesInstanceUID, role)

    def read_dataset_card(self, dataset_id: str) -> str:
        """Return the data card of a dataset; see `Store.read_dataset_card`."""
        with self._engine.begin() as connection:
            record = register.get_dataset(connection, self.person, dataset_id)
            held = register.list_series(connection, self.person, record.id)
            labels = register.list_objects(connection, record.id, role="label")
        return render_card(record, summarise(held, labels), self.settings.dataset_licence)

    def verify_dataset(self, dataset_id: str) -> Iterator[DatasetCheck]:
        """Read every file of a dataset again; see `Store.verify_dataset`."""
        with writing(self._engine) as connection:
            record = register.get_dataset(connection, self.person, dataset_id)
            record_event(connection, self.person, "verify dataset", record.id)
        with self._engine.begin() as connection:
            held = check_list(connection, record)
            paths = find_paths(connection, held)
        return verify_files(held, paths, self.settings.files)

    # -- the way in ------------------------------------------------------------------------------

    def add_study(self, study: DeidentifiedStudy) -> None:
        """Let a de-identified study in: its files move to the catalog, and it becomes visible whole.

        Instances the catalog already holds are left untouched. Only a service of the house may do this.

        Raises
        ------
        PermissionDenied
            For anybody else.
        Withdrawn
            If the patient was withdrawn.
        """
        if "service" not in self.person.roles:
            raise PermissionDenied("Studies enter the catalog through the intake only: put the files into its inbox.")
        places = self._place(study)
        with writing(self._engine) as connection:
            if self._index(connection, study, places):
                link_segmentations(connection, study.StudyInstanceUID, study.site)
                detail = {"site": study.site, "instances": len(study.files)}
                record_event(connection, self.person, "add study", study.StudyInstanceUID, detail)

    def has_withdrawn(self, pseudonym: str) -> bool:
        """Whether a patient was withdrawn."""
        with self._engine.begin() as connection:
            return is_withdrawn(connection, pseudonym)

    def welcome(self, study: DeidentifiedStudy) -> None:
        """Refuse a study of a patient who was withdrawn, before anything of theirs is kept.

        Raises
        ------
        Withdrawn
            If the patient was.
        """
        with self._engine.begin() as connection:
            refuse_withdrawn(connection, study.patients)

    # -- inside ----------------------------------------------------------------------------------

    def _place(self, study: DeidentifiedStudy) -> dict[str, str]:
        """Move the files that the index does not hold to their places, before anybody has to wait for it."""
        with self._engine.begin() as connection:
            known = list_known(connection, [file.SOPInstanceUID for file in study.files])
        return place_files([file for file in study.files if file.SOPInstanceUID not in known], self.settings.files)

    def _index(self, connection: Connection, study: DeidentifiedStudy, places: dict[str, str]) -> bool:
        try:
            refuse_withdrawn(connection, study.patients)
        except Withdrawn:  # while the files were on their way
            for place in places.values():
                (self.settings.files / place).unlink(missing_ok=True)
            raise
        return index_study(connection, study, places, load_rules(self.settings.projects_file))

    def _write_label(
        self,
        record: SeriesRecord,
        labelmap: LabelMap,
        segments: Sequence[Segment],
        *,
        author: str,
        algorithm: tuple[str, str] | None = None,
    ) -> DeidentifiedStudy:
        from aurelius_catalog.objects.laying import find_grid  # few processes write labels

        with self._engine.begin() as connection:
            listed = index.list_instances(connection, record.SeriesInstanceUID)
        if any(instance.media_type != DICOM for instance in listed):
            raise InvalidLabel("This series is no DICOM: a DICOM SEG, which labels are kept as, cannot refer to it.")
        headers: list[Dataset] = [dcmread(self._path(instance), stop_before_pixels=True) for instance in listed]
        grid = find_grid(self, listed, len(labelmap))
        segmentation = write_segmentation(headers, labelmap, segments, author=author, algorithm=algorithm, grid=grid)
        segmentation.PatientIdentityRemoved = "YES"
        segmentation.DeidentificationMethod = headers[0].get("DeidentificationMethod") or "Derived from such images"
        self.settings.files.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.settings.files, suffix=".part", delete=False) as file:
            segmentation.save_as(file, enforce_file_format=True)
        return DeidentifiedStudy(record.site, (read_deidentified(Path(file.name)),))

    def _visible(self, SOPInstanceUID: str) -> InstanceRecord:
        with self._engine.begin() as connection:
            instance = index.get_instance(connection, SOPInstanceUID)
            index.get_series(connection, self.person, instance.SeriesInstanceUID)
        return instance

    def _locate(self, frames: Sequence[tuple[InstanceRecord, int]]) -> list[Span]:
        """Return where frames lie, once it is sure that the person may read them."""
        for uid in {instance.SeriesInstanceUID for instance, _ in frames}:
            self.note_reading(uid)
        folder = self.settings.files
        return [Span(f"{folder}/{instance.path}", *instance.frames[index]) for instance, index in frames]

    def _path(self, instance: InstanceRecord) -> Path:
        return self.settings.files / instance.path
