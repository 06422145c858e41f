"""Objects that people derive from images and send back."""

from __future__ import annotations

from pathlib import Path

from pydicom import FileDataset

from aurelius_catalog.index.audit_log import record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.deidentified import DeidentifiedStudy, read_derived
from aurelius_catalog.local.admission import LocalAdmission
from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.local.search import LocalSearch


class LocalResults:
    """What lets derived objects in, each with its author."""

    def __init__(self, context: LocalContext, search: LocalSearch, admission: LocalAdmission) -> None:
        self._context = context
        self._search = search
        self._admission = admission

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

        derived_objects.require_author(self._context.person)
        study = str(dataset.StudyInstanceUID)
        if StudyInstanceUID not in (None, study):
            raise derived_objects.ResultRefused(
                derived_objects.DOES_NOT_FIT, "It belongs to another study than the address says."
            )
        held = self._search.find_page({"StudyInstanceUID": study}, 1)
        if not held:
            message = f"There is no study {study} that {self._context.person.name} may open."
            raise derived_objects.ResultRefused(derived_objects.NOT_ALLOWED, message)
        source = file.read_bytes()
        with self._context.engine.begin() as connection:
            header = derived_objects.read_header(connection, held[0])
            derived_objects.seal_result(dataset, self._context.person, header)
            profile = derived_objects.load_house_profile(self._context.settings.intake_profile)
            derived_objects.check_result(connection, dataset, source, held[0], header, profile)
        dataset.save_as(file, enforce_file_format=True)
        with self._context.engine.begin() as connection:
            derived = read_derived(connection, file, held[0].SeriesInstanceUID)
        entry = DeidentifiedStudy(held[0].site, (derived,))
        places, uid = self._admission.place_study(entry), entry.files[0].SOPInstanceUID
        with writing(self._context.engine) as connection:
            if self._admission.index_placed(connection, entry, places):
                derived_objects.link_result(connection, dataset, self._context.person)
                record_event(
                    connection, self._context.person, "store result", uid, {"SOPClassUID": str(dataset.SOPClassUID)}
                )
            else:
                derived_objects.require_same(connection, entry.files[0])
