"""Label maps written as DICOM SEG on the series they were drawn on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, dcmread

from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.index import reads
from aurelius_catalog.index.deidentified import DeidentifiedStudy, read_derived
from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.local.images import LocalImages
from aurelius_catalog.objects.segmentation_writer import write_segmentation
from aurelius_catalog.records import Segment, SeriesRecord
from aurelius_catalog.store import LabelMap
from aurelius_deidentify.media_types import DICOM


class SegmentationFiles:
    """Writes a label map as a DICOM SEG beside the catalog's files, ready to be let in."""

    def __init__(self, context: LocalContext, images: LocalImages) -> None:
        self._context = context
        self._images = images

    def write_label(
        self,
        record: SeriesRecord,
        labelmap: LabelMap,
        segments: Sequence[Segment],
        *,
        author: str,
        algorithm: tuple[str, str] | None = None,
    ) -> DeidentifiedStudy:
        """Write a label map as a DICOM SEG of the study that the series belongs to.

        Parameters
        ----------
        record
            The series it was drawn on.
        labelmap
            ``(z, y, x)`` whole numbers, 0 where there is nothing.
        segments
            What the numbers mean.
        author
            Who drew it, or which model.
        algorithm
            Name and version of the model, if one drew it.

        Raises
        ------
        InvalidLabel
            If shape or values do not fit the series, or the series is not DICOM.
        """
        from aurelius_catalog.objects.alignment import find_grid  # few processes write labels

        with self._context.engine.begin() as connection:
            listed = reads.list_instances(connection, record.SeriesInstanceUID)
        if any(instance.media_type != DICOM for instance in listed):
            raise InvalidLabel("This series is no DICOM: a DICOM SEG, which labels are kept as, cannot refer to it.")
        headers: list[Dataset] = [
            dcmread(self._images.find_path(instance), stop_before_pixels=True) for instance in listed
        ]
        grid = find_grid(self._images, listed, len(labelmap))
        segmentation = write_segmentation(headers, labelmap, segments, author=author, algorithm=algorithm, grid=grid)
        segmentation.PatientIdentityRemoved = "YES"
        segmentation.DeidentificationMethod = headers[0].get("DeidentificationMethod") or "Derived from such images"
        self._context.files.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._context.files, suffix=".part", delete=False) as file:
            segmentation.save_as(file, enforce_file_format=True)
        with self._context.engine.begin() as connection:
            derived = read_derived(connection, Path(file.name), record.SeriesInstanceUID)
        return DeidentifiedStudy(record.site, (derived,))
