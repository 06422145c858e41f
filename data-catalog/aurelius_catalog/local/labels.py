"""Labels that people draw, and the leases on series that wait for one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert

from aurelius_catalog.access.person import Action
from aurelius_catalog.index import annotations as versions
from aurelius_catalog.index import reads
from aurelius_catalog.index.admission import add_version
from aurelius_catalog.index.audit_log import record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.schema import leases
from aurelius_catalog.local.admission import LocalAdmission
from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.local.search import LocalSearch
from aurelius_catalog.local.segmentations import SegmentationFiles
from aurelius_catalog.records import AnnotationRecord, LeaseRecord, Segment, SeriesRecord
from aurelius_catalog.store import LabelMap


class LocalLabels:
    """What of the `Store` protocol keeps label versions and leases."""

    def __init__(
        self, context: LocalContext, search: LocalSearch, admission: LocalAdmission, files: SegmentationFiles
    ) -> None:
        self._context = context
        self._search = search
        self._admission = admission
        self._files = files

    def list_annotations(self, SeriesInstanceUID: str | None = None) -> list[AnnotationRecord]:
        """Return label versions; see `Store.list_annotations`."""
        if SeriesInstanceUID is not None:
            self._search.get_series(SeriesInstanceUID)
        with self._context.engine.begin() as connection:
            return versions.list_annotations(connection, self._context.person, SeriesInstanceUID)

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
        self._context.person.require(Action.ANNOTATE)
        record = self._search.get_series(SeriesInstanceUID)
        study = self._files.write_label(record, labelmap, segments, author=self._context.person.name)
        places, uid = self._admission.place_study(study), study.files[0].SOPInstanceUID
        with writing(self._context.engine) as connection:
            self._admission.index_placed(connection, study, places)
            listed = [segment.model_dump() for segment in segments]
            number = add_version(
                connection, SeriesInstanceUID, self._context.person.name, origin, uid, listed, comment or None
            )
            connection.execute(delete(leases).where(leases.c.SeriesInstanceUID == SeriesInstanceUID))
            record_event(connection, self._context.person, "annotate", SeriesInstanceUID, {"SOPInstanceUID": uid})
            return versions.get_annotation(connection, number)

    def lease_next(self, project: str | None = None, minutes: float = 30) -> SeriesRecord | None:
        """Return a series for this person to label, held for them for a while; None if there is none left.

        A series qualifies if it is a CT or MR volume the person may see, nobody has drawn on it yet, and
        nobody else holds it. The person's own lease is renewed rather than a second one handed out.
        """
        self._context.person.require(Action.ANNOTATE)
        now = datetime.now(UTC)
        with writing(self._context.engine) as connection:
            connection.execute(delete(leases).where(leases.c.until < now))
            found = reads.read_series(connection, versions.select_unlabelled(self._context.person))
            fitting = [record for record in found if project is None or project in record.projects]
            if not fitting:
                return None
            uid = fitting[0].SeriesInstanceUID
            connection.execute(delete(leases).where(leases.c.SeriesInstanceUID == uid))
            until = now + timedelta(minutes=minutes)
            connection.execute(
                insert(leases).values(SeriesInstanceUID=uid, person=self._context.person.name, until=until)
            )
            record_event(connection, self._context.person, "lease", uid)
            return fitting[0]

    def list_leases(self) -> list[LeaseRecord]:
        """Return who holds which visible series at this moment."""
        with self._context.engine.begin() as connection:
            return versions.list_leases(connection, self._context.person)
