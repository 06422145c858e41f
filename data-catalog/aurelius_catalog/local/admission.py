"""The way into the catalog of this machine: files move to their places, then a study becomes visible whole."""

from __future__ import annotations

from sqlalchemy import Connection

from aurelius_catalog.access.projects import load_rules
from aurelius_catalog.errors import InvalidRequest, PermissionDenied, Withdrawn
from aurelius_catalog.index.admission import index_study, link_segmentations, list_known, place_files
from aurelius_catalog.index.audit_log import record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.deidentified import DeidentifiedStudy
from aurelius_catalog.index.tombstones import is_withdrawn, refuse_withdrawn
from aurelius_catalog.local.context import LocalContext


class LocalAdmission:
    """What lets de-identified studies in, and keeps those of withdrawn patients out."""

    def __init__(self, context: LocalContext) -> None:
        self._context = context

    def add_study(self, study: DeidentifiedStudy) -> None:
        """Let a de-identified study in: its files move to the catalog, and it becomes visible whole.

        Instances the catalog already holds are left untouched. Only a service of the house may do this.

        Raises
        ------
        InvalidRequest
            If it is anything but a `DeidentifiedStudy`.
        PermissionDenied
            For anybody else.
        Withdrawn
            If the patient was withdrawn.
        """
        if type(study) is not DeidentifiedStudy:
            raise InvalidRequest("Only a DeidentifiedStudy can enter the catalog: put the files into an inbox.")
        if "service" not in self._context.person.roles:
            raise PermissionDenied("Studies enter the catalog through the intake only: put the files into its inbox.")
        places = self.place_study(study)
        with writing(self._context.engine) as connection:
            if self.index_placed(connection, study, places):
                link_segmentations(connection, study.StudyInstanceUID, study.site)
                detail = {"site": study.site, "instances": len(study.files)}
                record_event(connection, self._context.person, "add study", study.StudyInstanceUID, detail)

    def has_withdrawn(self, pseudonym: str) -> bool:
        """Whether a patient was withdrawn."""
        with self._context.engine.begin() as connection:
            return is_withdrawn(connection, pseudonym)

    def check_not_withdrawn(self, study: DeidentifiedStudy) -> None:
        """Refuse a study of a patient who was withdrawn, before anything of theirs is kept.

        Raises
        ------
        Withdrawn
            If the patient was.
        """
        with self._context.engine.begin() as connection:
            refuse_withdrawn(connection, study.patients)

    def place_study(self, study: DeidentifiedStudy) -> dict[str, str]:
        """Move the files that the index does not hold to their places, before anybody has to wait for it."""
        with self._context.engine.begin() as connection:
            known = list_known(connection, [file.SOPInstanceUID for file in study.files])
        return place_files(
            [file for file in study.files if file.SOPInstanceUID not in known], self._context.settings.files
        )

    def index_placed(self, connection: Connection, study: DeidentifiedStudy, places: dict[str, str]) -> bool:
        """Index a study whose files are in their places; returns whether anything was new.

        Raises
        ------
        Withdrawn
            If the patient was withdrawn meanwhile; the files are gone then.
        """
        try:
            refuse_withdrawn(connection, study.patients)
        except Withdrawn:  # while the files were on their way
            for place in places.values():
                (self._context.settings.files / place).unlink(missing_ok=True)
            raise
        return index_study(connection, study, places, load_rules(self._context.settings.projects_file))
