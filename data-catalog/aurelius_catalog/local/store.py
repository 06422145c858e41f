"""The catalog on this machine: an reads, a folder of DICOM files, and one person looking at them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom import Dataset, FileDataset, dcmread
from sqlalchemy import Connection, delete, insert, update

from aurelius_catalog.access.person import Action
from aurelius_catalog.access.projects import load_rules
from aurelius_catalog.errors import InvalidLabel, PermissionDenied, Withdrawn
from aurelius_catalog.index import annotations as ledger
from aurelius_catalog.index import reads
from aurelius_catalog.index.admission import add_version, index_study, link_segmentations, list_known, place_files
from aurelius_catalog.index.audit_log import record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.deidentified import DeidentifiedStudy, read_deidentified
from aurelius_catalog.index.schema import leases, predictions
from aurelius_catalog.index.tombstones import is_withdrawn, refuse_withdrawn
from aurelius_catalog.local.datasets import LocalDatasets
from aurelius_catalog.objects.segmentation_writer import write_segmentation
from aurelius_catalog.records import (
    AnnotationRecord,
    DecisionAction,
    DecisionRecord,
    LeaseRecord,
    NewPrediction,
    PredictionRecord,
    Segment,
    SeriesRecord,
    WorklistRow,
)
from aurelius_catalog.store import LabelMap
from aurelius_deidentify.media_types import DICOM


class LocalStore(LocalDatasets):
    """The `Store` protocol over this machine's index and files: images, datasets, and here all that is written.

    Parameters
    ----------
    settings
        Where index and files are.
    person
        Whose eyes these are: every method refuses what this person may not do.
    """

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
            found = reads.read_series(connection, ledger.select_unlabelled(self.person))
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
        from aurelius_catalog.local import derived_objects

        derived_objects.require_author(self.person)
        study = str(dataset.StudyInstanceUID)
        if StudyInstanceUID not in (None, study):
            raise derived_objects.ResultRefused(
                derived_objects.DOES_NOT_FIT, "It belongs to another study than the address says."
            )
        held = self.find_page({"StudyInstanceUID": study}, 1)
        if not held:
            message = f"There is no study {study} that {self.person.name} may open."
            raise derived_objects.ResultRefused(derived_objects.NOT_ALLOWED, message)
        source = file.read_bytes()
        with self._engine.begin() as connection:
            header = derived_objects.read_header(connection, held[0])
            derived_objects.seal_result(dataset, self.person, header)
            profile = derived_objects.load_house_profile(self.settings.intake_profile)
            derived_objects.check_result(connection, dataset, source, held[0], header, profile)
        dataset.save_as(file, enforce_file_format=True)
        entry = DeidentifiedStudy(held[0].site, (read_deidentified(file),))
        places, uid = self._place(entry), entry.files[0].SOPInstanceUID
        with writing(self._engine) as connection:
            if self._index(connection, entry, places):
                derived_objects.link_result(connection, dataset, self.person)
                record_event(connection, self.person, "store result", uid, {"SOPClassUID": str(dataset.SOPClassUID)})
            else:
                derived_objects.require_same(connection, entry.files[0])

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
            reads.get_series(connection, self.person, prediction.SeriesInstanceUID)
            decision = ledger.add_decision(connection, prediction_id, self.person.name, action, comment)
            reviewed = update(predictions).where(predictions.c.id == prediction_id).values(requires_review=False)
            connection.execute(reviewed)
            record_event(connection, self.person, action, prediction.SeriesInstanceUID, {"prediction": prediction_id})
            return decision

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
        from aurelius_catalog.objects.alignment import find_grid  # few processes write labels

        with self._engine.begin() as connection:
            listed = reads.list_instances(connection, record.SeriesInstanceUID)
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
