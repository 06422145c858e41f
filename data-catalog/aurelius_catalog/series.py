"""A series, and the labels drawn on it, as a researcher holds them in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import xarray as xr

from aurelius_catalog.labels import read_labelmap
from aurelius_catalog.model import AnnotationRecord, InstanceRecord, PredictionRecord, Segment, SeriesRecord
from aurelius_catalog.store import Store
from aurelius_catalog.volume import open_volume

if TYPE_CHECKING:
    from openslide import OpenSlide


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

    def open_slide(self) -> OpenSlide:
        """Open a whole slide with OpenSlide; close it when done.

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
