"""A series, and the labels drawn on it, as a researcher holds them in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import xarray as xr

from aurelius_catalog.labels import read_labelmap
from aurelius_catalog.model import (
    AnnotationRecord,
    InstanceRecord,
    NewPrediction,
    PredictionRecord,
    Segment,
    SeriesRecord,
)
from aurelius_catalog.store import LabelMap, Store
from aurelius_catalog.volume import open_volume

if TYPE_CHECKING:
    from openslide import AbstractSlide

    from aurelius_catalog.slides.slide import Slide


class Series:
    """One series the person may see.

    Parameters
    ----------
    store
        Where it is read from.
    record
        What the index knows about it.
    """

    def __init__(self, store: Store, record: SeriesRecord) -> None:
        self._store = store
        self.record = record

    def __repr__(self) -> str:
        record = self.record
        part = record.BodyPartExamined or "unknown body part"
        return f"<Series {record.Modality} {part}, {record.n_frames} frames, patient {record.PatientID}>"

    @cached_property
    def instances(self) -> list[InstanceRecord]:
        """The files of the series, in slice order."""
        return self._store.list_instances(self.record.SeriesInstanceUID)

    def to_xarray(self) -> xr.DataArray:
        """Open the images lazily; see `aurelius_catalog.volume.open_volume`."""
        return open_volume(self._store, self.instances)

    def read_files(self) -> list[bytes]:
        """Read every file of the series as it is stored, in slice order."""
        return [self._store.read_file(instance.SOPInstanceUID) for instance in self.instances]

    def slide(self) -> Slide:
        """Open a whole slide, wherever it is: its levels, regions by physical size, a viewer.

        Raises
        ------
        InvalidRequest
            If the series is no slide, or nothing here reads it.
        """
        from aurelius_catalog.slides.slide import Slide  # wanted for slides only

        return Slide(self._store, self._store.describe_slide(self.record.SeriesInstanceUID))

    def open_slide(self) -> AbstractSlide:
        """Open a whole slide as OpenSlide does; close it when done. `slide` works over HTTP as well.

        Raises
        ------
        InvalidRequest
            If the series is no slide, or the slide is not on this machine.
        """
        from aurelius_catalog.slides.reading import open_slide  # OpenSlide is wanted for slides only

        return open_slide(self._store, self.instances)

    def volume(self) -> hd.Volume:
        """Read the whole series as a `highdicom.Volume`, float32 ``(z, y, x)``, rescaled.

        Raises
        ------
        InvalidVolume
            If the slices do not form one regular volume.
        """
        image = self.to_xarray()
        return hd.Volume(
            image.to_numpy(),
            np.array(image.attrs["affine_lps"])[:, [2, 1, 0, 3]],  # highdicom indexes (slice, row, column)
            coordinate_system="PATIENT",
            frame_of_reference_uid=self.record.FrameOfReferenceUID,
        )

    @property
    def segmentations(self) -> list[Segmentation]:
        """Every label version of this series, oldest first; asked anew each time."""
        found = self._store.list_annotations(self.record.SeriesInstanceUID)
        return [Segmentation(self, annotation) for annotation in found]

    @property
    def predictions(self) -> list[PredictionRecord]:
        """What models found in this series, oldest first; asked anew each time."""
        return self._store.list_predictions(self.record.SeriesInstanceUID)

    def add_annotation(
        self, labelmap: xr.DataArray | LabelMap, labels: Sequence[str], comment: str = ""
    ) -> AnnotationRecord:
        """Write a label of your own as a new version; nothing that was there before is changed.

        Parameters
        ----------
        labelmap
            ``(z, y, x)`` uint8 on the grid of `to_xarray`: 1 where the first of ``labels`` is, 2 for the second.
        labels
            What the values mean.
        comment
            What others should know about it.

        Raises
        ------
        InvalidLabel
            If shape or values do not fit the series.
        PermissionDenied
            If you have no role that annotates.
        """
        voxels = np.ascontiguousarray(labelmap, dtype=np.uint8)
        uid = self.record.SeriesInstanceUID
        return self._store.add_annotation(uid, voxels, name_segments(labels), origin="notebook", comment=comment)

    def add_prediction(
        self,
        labelmap: xr.DataArray | LabelMap,
        labels: Sequence[str],
        *,
        model: str,
        model_hash: str,
        finding: str,
        confidence: float,
        uncertainty: float,
    ) -> PredictionRecord:
        """Write what a model found; clinicians see it on their worklist, marked as waiting for review.

        Parameters
        ----------
        labelmap, labels
            As in `add_annotation`; a label map of zeros says that nothing was found.
        model, model_hash
            Name of the model, and the hash of its weights.
        finding
            What a reader of the worklist is told.
        confidence, uncertainty
            How sure the model is, 0 to 1.

        Raises
        ------
        InvalidLabel
            If shape or values do not fit the series.
        PermissionDenied
            If you have no role that writes predictions.
        """
        voxels = np.ascontiguousarray(labelmap, dtype=np.uint8)
        voxel_mm3 = float(np.prod(self.to_xarray().attrs["spacing_mm"]))
        prediction = NewPrediction(
            model=model,
            model_hash=model_hash,
            finding=finding,
            volume_mm3=float(np.count_nonzero(voxels)) * voxel_mm3,
            confidence=confidence,
            uncertainty=uncertainty,
            segments=name_segments(labels),
        )
        return self._store.add_prediction(self.record.SeriesInstanceUID, prediction, voxels)

    def labelmap(self, SOPInstanceUID: str) -> xr.DataArray:
        """Read a DICOM SEG onto this series' grid.

        Returns
        -------
        xarray.DataArray
            ``(z, y, x)`` uint8, voxel value = segment number; same coordinates as `to_xarray`.
        """
        uids = [instance.SOPInstanceUID for instance in self.instances]
        labels = read_labelmap(self._store.read_file(SOPInstanceUID), uids)
        image = self.to_xarray()
        return xr.DataArray(labels, dims=image.dims, coords=image.coords, attrs={**image.attrs, "units": "segment"})

    def view(self, overlay: Segmentation | xr.DataArray | None = None) -> Any:
        """Show the series in the notebook, with a label over it if one is given (ipyniivue, offline)."""
        from aurelius_catalog.view import view_volume  # the viewer is wanted in a notebook only

        image = self.to_xarray()
        segments: tuple[Segment, ...] = ()
        if isinstance(overlay, Segmentation):
            segments, overlay = overlay.annotation.segments, overlay.to_xarray()
        affine = np.array(image.attrs["affine_lps"])
        labels = None if overlay is None else overlay.to_numpy()
        return view_volume(image.to_numpy(), affine, overlay_zyx=labels, segments=segments)


def name_segments(labels: Sequence[str]) -> tuple[Segment, ...]:
    """Return segments with these labels, numbered from 1."""
    return tuple(Segment(number=number, label=label) for number, label in enumerate(labels, start=1))


@dataclass(frozen=True)
class Segmentation:
    """One label version of a series."""

    series: Series
    annotation: AnnotationRecord

    def to_xarray(self) -> xr.DataArray:
        """Read the label on the series' grid: ``(z, y, x)`` uint8, voxel value = segment number."""
        return self.series.labelmap(self.annotation.SOPInstanceUID)

    def volumes_ml(self) -> dict[str, float]:
        """Measure each segment: voxel count times voxel volume, in millilitres."""
        labels = self.to_xarray()
        voxel_ml = float(np.prod(labels.attrs["spacing_mm"])) / 1000
        counts = np.bincount(labels.to_numpy().ravel(), minlength=256)
        return {segment.label: float(counts[segment.number]) * voxel_ml for segment in self.annotation.segments}
