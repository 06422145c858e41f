"""A series, and the labels drawn on it, as a researcher holds them in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import xarray as xr
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from aurelius_catalog.errors import InvalidLabel, InvalidRequest
from aurelius_catalog.objects import (
    CLASSES,
    BulkAnnotations,
    StoredSegmentation,
    StructureSet,
    open_array,
    open_object,
    open_objects,
)
from aurelius_catalog.objects.alignment import choose_target
from aurelius_catalog.objects.reading import find_visible, read_object
from aurelius_catalog.records import (
    AnnotationRecord,
    InstanceRecord,
    NewPrediction,
    PredictionRecord,
    SeriesRecord,
    name_segments,
)
from aurelius_catalog.store import LabelMap, Store
from aurelius_catalog.viewing.ohif_link import link_to_ohif
from aurelius_catalog.volumes import check_is_volume, open_volume, open_volumes
from aurelius_deidentify.media_types import DICOM

if TYPE_CHECKING:
    from openslide import AbstractSlide

    from aurelius_catalog.objects.readers import Stored
    from aurelius_catalog.slide import Slide
    from aurelius_catalog.viewing.overlays import Overlaid, ShownSeries


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

    def to_xarray(self, *, chunks: Any = None, dtype: Any = None, allow_shear: bool = False) -> xr.DataArray:
        """Open the images; voxels are read when they are asked for, and all at once by ``.load()``.

        Parameters
        ----------
        chunks
            As `xarray.open_dataset` takes them, to have the voxels in dask: ``{}``, ``"auto"``, ``{"z": 16}``, …
        dtype
            ``"stored"`` for the numbers as they are in the files; a float, such as ``"float32"``, for what the headers
            say they mean; None: float32 for grey images, as stored for colour.
        allow_shear
            Whether slices shifted by a tilted gantry are taken as they are.

        Returns
        -------
        xarray.DataArray
            Dims ``(z, y, x)``; of several volumes with a dim before them (``t``, ``echo``, ``b``, ``phase``, …); of
            images without a place in the patient ``(frame, y, x)``, of a film ``(t, y, x)``; colour has a last dim
            ``c``. Coordinates are mm from the first voxel, slices in ascending order along their normal.
            ``attrs["affine_lps"]`` maps (x, y, z, 1) of voxels to patient LPS in mm, ``attrs["units"]`` is the unit
            as DICOM names it (HU, BQML, …). Doses, parametric maps, segmentations, structure sets and waveforms come as
            `aurelius_catalog.objects` makes arrays of them.

        Raises
        ------
        InvalidVolume
            If the series holds no image, or more than one volume: `volumes` opens each.
        InvalidObject
            If it holds a report, or several objects.
        """
        if self.record.SOPClassUID in CLASSES:
            array = open_array(self._store, self.instances)
            return array if chunks is None else array.chunk(chunks)
        return open_volume(self._store, self.instances, chunks=chunks, dtype=dtype, allow_shear=allow_shear)

    def volumes(self, *, chunks: Any = None, dtype: Any = None, allow_shear: bool = False) -> list[xr.DataArray]:
        """Open every volume of a series that holds several, each as `to_xarray` opens one.

        Images of another size or orientation, slices behind a gap, and images at one place that the headers do not
        tell apart come in arrays of their own; ``attrs["apart"]`` says why.
        """
        if self.record.SOPClassUID in CLASSES:
            return [self.to_xarray(chunks=chunks)]
        return open_volumes(self._store, self.instances, chunks=chunks, dtype=dtype, allow_shear=allow_shear)

    def open(self) -> xr.DataArray | Slide | Stored:
        """Open the series as what it is.

        Returns
        -------
        xarray.DataArray, Slide, or an object
            Images, doses and parametric maps as arrays (as `to_xarray` does), slides as `slide` does, all else as
            `aurelius_catalog.objects` has it: segmentations, structure sets, plans, annotations, reports, waveforms, ….

        Raises
        ------
        InvalidObject
            If the series holds several objects (see `objects`), or some that nothing here reads.
        InvalidVolume
            If its images form no single array.
        """
        if self._is_slide:
            return self.slide()
        if self.record.SOPClassUID in CLASSES:
            return open_object(self._store, self.instances)
        has_pictures = any(item.Rows or item.media_type != DICOM for item in self.instances)
        return self.to_xarray() if has_pictures else open_object(self._store, self.instances)

    def objects(self) -> list[Stored]:
        """Open every object of a series that holds several, such as the doses of several beams.

        Raises
        ------
        InvalidObject
            If it holds images, or objects that nothing here reads.
        """
        return open_objects(self._store, self.instances)

    @property
    def _is_slide(self) -> bool:
        return self.record.SOPClassUID == VLWholeSlideMicroscopyImageStorage

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
        from aurelius_catalog.slide import Slide  # wanted for slides only

        return Slide(self._store, self._store.describe_slide(self.record.SeriesInstanceUID))

    def open_slide(self) -> AbstractSlide:
        """Open a whole slide as OpenSlide does; close it when done. `slide` works over HTTP as well.

        Raises
        ------
        InvalidRequest
            If the series is no slide, or the slide is not on this machine.
        """
        from aurelius_catalog.local.store import LocalStore
        from aurelius_catalog.slides.stored_slide import (  # OpenSlide is wanted for slides only
            choose_instances,
            open_files,
        )

        chosen = choose_instances(self.instances)
        if not isinstance(self._store, LocalStore):
            raise InvalidRequest("OpenSlide needs the catalog's files: `series.slide()` reads them from everywhere.")
        self._store.find_file(chosen[0].SOPInstanceUID)  # makes sure of the rights, and records it
        return open_files(self._store.settings.files, chosen)

    def volume(self) -> hd.Volume:
        """Read the whole series as a `highdicom.Volume`, float32 ``(z, y, x)``, rescaled.

        Raises
        ------
        InvalidVolume
            If the slices do not form one regular volume.
        """
        image = self.to_xarray()
        check_is_volume(image)
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
    def ohif_url(self) -> str:
        """Path below the house's address that opens the series in OHIF, the browser's viewer."""
        return link_to_ohif(self.record)

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
            ``(z, y, x)`` uint8, voxel value = segment number; same coordinates as `to_xarray`. Of pictures without a
            place in the patient: the axes of the pictures.

        Raises
        ------
        InvalidLabel
            If its segments overlap or hold fractions (see `Segmentation.masks`), or it does not belong here.
        """
        return self._lay(SOPInstanceUID)

    def open_segmentation(self, SOPInstanceUID: str) -> StoredSegmentation:
        """Open a DICOM SEG of a label or a prediction as it is stored: its segments, their codes and colours.

        Raises
        ------
        InvalidObject
            If it is no segmentation.
        """
        return StoredSegmentation(read_object(self._store, SOPInstanceUID))

    def _lay(self, SOPInstanceUID: str, *, masks: bool = False, labels: Sequence[str] | None = None) -> xr.DataArray:
        stored = self.open_segmentation(SOPInstanceUID)
        if self._is_slide and stored.is_of_slide:
            return stored.masks(None, labels) if masks else stored.labelmap()
        image = self.to_xarray()
        target = choose_target(stored, self.record, self.instances, image)
        laid = stored.masks(target, labels) if masks else stored.labelmap(target)
        return laid.assign_attrs(SeriesInstanceUID=self.record.SeriesInstanceUID)

    def view(
        self,
        overlay: Overlaid | Sequence[Overlaid] | None = None,
        *,
        window: str | tuple[float, float] | None = None,
        opacity: float = 0.5,
    ) -> Any:
        """Show the series in the notebook as what it is; nothing is loaded from anywhere.

        Volumes are shown in three planes, pictures and films with a slider, slides to zoom in, waveforms as curves,
        reports as trees, segmentations and structure sets over the images they were drawn on.

        Parameters
        ----------
        overlay
            What lies over the images, one thing or a list: label versions (`segmentations`), predictions, series that
            hold a segmentation, a structure set, a dose, a parametric map or a slide's annotations, or arrays: whole
            numbers are labels, others values.
        window
            ``"lung"``, ``"bone"``, ``"brain"``, ``"liver"``, ``"mediastinum"`` or ``"soft tissue"`` for CT, or (lowest,
            highest) in the units of the image; None: what suits the values.
        opacity
            Of the overlays, 0 to 1.
        """
        if self._is_slide:
            return self.slide().view(overlay, opacity=opacity)  # type: ignore[arg-type]  # it says what it does not take
        from aurelius_catalog.viewing.display import show_object, show_series  # viewers are wanted in notebooks only

        opened = self.open() if self.record.SOPClassUID in CLASSES else self.to_xarray()
        if isinstance(opened, (StoredSegmentation, StructureSet)):
            return self._view_drawing(opened, window, opacity)
        if isinstance(opened, BulkAnnotations):
            from aurelius_catalog.slide import Slide  # OpenSlide is wanted for slides only

            return Slide(self._store, opened.find_slide()).view(opened, opacity=opacity)
        if isinstance(opened, xr.DataArray):
            return show_series(self._show(opened), overlay, window=window, opacity=opacity)
        return show_object(opened)

    def _view_drawing(
        self, drawn: StoredSegmentation | StructureSet, window: str | tuple[float, float] | None, opacity: float
    ) -> Any:
        """Show a segmentation or a structure set over the images it was drawn on, if the catalog holds them."""
        from aurelius_catalog.viewing.display import show_alone

        images = find_visible(self._store, drawn.referenced_series)
        if images is not None:
            return Series(self._store, images).view(drawn, window=window, opacity=opacity)
        if isinstance(drawn, StructureSet):
            drawn.open_images()  # says what is missing
        return show_alone(self._show(drawn.to_xarray()), drawn, window=window, opacity=opacity)

    def _show(self, image: xr.DataArray) -> ShownSeries:
        from aurelius_catalog.viewing.overlays import ShownSeries

        return ShownSeries(self._store, self.record, self.instances, image)

    @property
    def overlay_name(self) -> str:
        """What a viewer's legend calls the series."""
        return self.record.SeriesDescription or ""

    def open_overlay(self) -> Any:
        """Open what the series holds, to be laid over images; see `open`."""
        return self.open()


@dataclass(frozen=True)
class Segmentation:
    """One label version of a series."""

    series: Series
    annotation: AnnotationRecord

    @property
    def overlay_name(self) -> str:
        """What a viewer's legend calls it."""
        return f"version {self.annotation.version} by {self.annotation.author}"

    def open_overlay(self) -> StoredSegmentation:
        """Open the label as it is stored, to be laid over images."""
        return self.series.open_segmentation(self.annotation.SOPInstanceUID)

    def to_xarray(self) -> xr.DataArray:
        """Read the label on the series' grid: ``(z, y, x)`` uint8, voxel value = segment number.

        Raises
        ------
        InvalidLabel
            If its segments overlap or hold fractions: take `masks`.
        """
        return self.series.labelmap(self.annotation.SOPInstanceUID)

    def masks(self, labels: Sequence[str] | None = None) -> xr.DataArray:
        """Read each segment by itself on the series' grid: ``(segment, z, y, x)`` bool, or float32 0 … 1 for fractions.

        Parameters
        ----------
        labels
            Which segments; None: all.
        """
        return self.series._lay(self.annotation.SOPInstanceUID, masks=True, labels=labels)

    def volumes_ml(self) -> dict[str, float]:
        """Measure each segment: voxel count, or sum of fractions, times voxel volume, in millilitres.

        Raises
        ------
        InvalidLabel
            If the series is no volume.
        """
        segments = self.annotation.segments
        try:
            drawn = self.to_xarray()
            counts = np.bincount(drawn.to_numpy().ravel(), minlength=256)[[segment.number for segment in segments]]
        except InvalidLabel:  # segments overlap, or hold fractions
            drawn = self.masks([segment.label for segment in segments])
            counts = drawn.to_numpy().reshape(len(segments), -1).sum(axis=1, dtype=np.float64)
        if "spacing_mm" not in drawn.attrs:
            raise InvalidLabel("These pictures have no depth, so nothing drawn on them has a volume.")
        voxel_ml = float(np.prod(drawn.attrs["spacing_mm"])) / 1000
        return {segment.label: float(count) * voxel_ml for segment, count in zip(segments, counts, strict=True)}
