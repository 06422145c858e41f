"""Radiotherapy structure sets: regions drawn as contours on slices (PS3.3 A.19)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_catalog.dicom.segments import Colour
from aurelius_catalog.errors import InvalidLabel, InvalidObject, NotFound, PermissionDenied, Withdrawn
from aurelius_catalog.objects.contours import draw_region
from aurelius_catalog.objects.grid import Grid
from aurelius_catalog.objects.reading import find_visible
from aurelius_catalog.store import Store
from aurelius_catalog.volumes import open_volume


@dataclass(frozen=True, eq=False)
class Contour:
    """One line or point.

    Parameters
    ----------
    points_mm
        ``(n, 3)`` float64, patient LPS.
    kind
        ContourGeometricType, such as ``CLOSED_PLANAR``.
    SOPInstanceUIDs
        The images it was drawn on.
    """

    points_mm: NDArray[np.float64]
    kind: str
    SOPInstanceUIDs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RegionOfInterest:
    """One region of interest.

    Parameters
    ----------
    number, name
        ROINumber, ROIName.
    kind
        RTROIInterpretedType, such as ``ORGAN`` or ``PTV``; empty where it is not said.
    colour
        Red, green, blue, 0 … 255, where the object recommends one.
    contours
        In the order of the object; none where a region is only named.
    """

    number: int
    name: str
    kind: str = ""
    colour: Colour | None = None
    contours: tuple[Contour, ...] = ()


class StructureSet(Sequence[RegionOfInterest]):
    """The regions of one structure set; `find` takes a name.

    Parameters
    ----------
    store
        Where the images are that it was drawn on.
    dataset
        The whole object.

    Raises
    ------
    InvalidObject
        If its contours cannot be read.
    """

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self._store = store
        self.dataset = dataset
        try:
            self.regions = read_regions(dataset)
            self._images = list_images(dataset)
        except (AttributeError, TypeError, ValueError) as error:
            raise InvalidObject(f"The contours of this structure set cannot be read: {error}") from error

    def __repr__(self) -> str:
        return f"<StructureSet {', '.join(region.name for region in self.regions) or 'without regions'}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td><span style="color:rgb{region.colour or (128, 128, 128)}">■</span></td>'
            f"<td>{escape(region.name)}</td><td>{escape(region.kind)}</td><td>{len(region.contours)}</td></tr>"
            for region in self.regions
        )
        return f"<table><tr><th></th><th>region</th><th>kind</th><th>contours</th></tr>{rows}</table>"

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, position):  # type: ignore[no-untyped-def]  # as Sequence: a region, or a tuple of them
        return self.regions[position]

    def __iter__(self) -> Iterator[RegionOfInterest]:
        return iter(self.regions)

    def find(self, name: str) -> RegionOfInterest:
        """Return the region with a name.

        Raises
        ------
        InvalidLabel
            If there is none, naming those there are.
        """
        for region in self.regions:
            if region.name == name:
                return region
        raise InvalidLabel(f"There is no region {name!r}; there are: {', '.join(each.name for each in self.regions)}.")

    @property
    def referenced_series(self) -> tuple[str, ...]:
        """SeriesInstanceUIDs of the images it was drawn on."""
        return tuple(self._images)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """SOPInstanceUIDs of images it refers to that this person's catalog does not hold."""
        there: set[str] = set()
        for series in self._images:
            try:
                there.update(instance.SOPInstanceUID for instance in self._store.list_instances(series))
            except (NotFound, PermissionDenied, Withdrawn):
                continue
        wanted = [uid for uids in self._images.values() for uid in uids]
        wanted += [uid for region in self.regions for contour in region.contours for uid in contour.SOPInstanceUIDs]
        return tuple(uid for uid in dict.fromkeys(wanted) if uid not in there)

    def open_images(self) -> xr.DataArray:
        """Open the images it was drawn on.

        Returns
        -------
        xarray.DataArray
            ``(z, y, x)`` float32 in the unit of ``attrs["units"]``, read when the voxels are asked for.

        Raises
        ------
        NotFound
            If the catalog does not hold them.
        InvalidVolume
            If they form no single volume.
        """
        record = find_visible(self._store, self.referenced_series)
        if record is None:
            raise NotFound(
                f"The images this structure set was drawn on are not in your catalog ({len(self.missing)} images, "
                f"series {', '.join(self._images) or 'not named'}). Give another image of the same patient position."
            )
        return open_volume(self._store, self._store.list_instances(record.SeriesInstanceUID))

    def to_labelmap(self, image: xr.DataArray | None = None, names: Sequence[str] | None = None) -> xr.DataArray:
        """Fill the contours on the voxels of an image: a voxel belongs to a region if its centre lies inside.

        Parameters
        ----------
        image
            Whose voxels; None: those of the images it was drawn on.
        names
            Which regions; None: all that enclose something.

        Returns
        -------
        xarray.DataArray
            ``(z, y, x)`` uint8 or uint16: 1 for the first of these regions, 2 for the second, as
            ``attrs["labels"]`` lists them.

        Raises
        ------
        InvalidLabel
            If regions share voxels (take `masks`), or contours do not lie in the image's slices.
        NotFound
            If no image is given, and those it was drawn on are not there.
        """
        masks = self.masks(image, names)
        labels = list(masks["label"].to_numpy())
        values = np.zeros(masks.shape[1:], np.min_scalar_type(len(labels)))
        for number, (label, mask) in enumerate(zip(labels, masks.to_numpy(), strict=True), start=1):
            if (shared := values[mask]).any():
                other = labels[int(shared[shared > 0][0]) - 1]
                raise InvalidLabel(f"{label} and {other} share voxels: take `masks()`, or name fewer regions.")
            values[mask] = number
        attributes = {**masks.attrs, "units": "segment", "labels": labels}
        return xr.DataArray(values, {axis: masks[axis] for axis in "zyx"}, ("z", "y", "x"), attrs=attributes)

    def masks(self, image: xr.DataArray | None = None, names: Sequence[str] | None = None) -> xr.DataArray:
        """Fill the contours of each region by itself, as `to_labelmap` does.

        Returns
        -------
        xarray.DataArray
            ``(segment, z, y, x)`` bool; the coordinate ``segment`` holds the ROI numbers, ``label`` the names.
        """
        chosen = [region for region in self.regions if _is_closed(region)]
        if names is not None:
            chosen = [self.find(name) for name in names]
        if not chosen or not all(map(_is_closed, chosen)):
            empty = ", ".join(region.name for region in chosen if not _is_closed(region)) or "No region of this set"
            raise InvalidLabel(f"{empty} encloses nothing: there is no closed contour to fill.")
        grid = Grid.of_image(self.open_images() if image is None else image)
        values = np.zeros((len(chosen), *grid.shape), bool)
        for mask, region in zip(values, chosen, strict=True):
            draw_region(
                [contour.points_mm for contour in region.contours if _encloses(contour)], grid, mask, region.name
            )
        array = grid.make_array(values, units="")
        names_there = [region.name for region in chosen]
        return array.assign_coords(segment=[region.number for region in chosen], label=("segment", names_there))

    def to_xarray(self) -> xr.DataArray:
        """Return the label map where regions are apart, else the masks, on the images it was drawn on."""
        masks = self.masks()
        apart = int(masks.sum(dim="segment").max()) <= 1
        return self.to_labelmap(names=list(masks["label"].to_numpy())) if apart else masks


def _encloses(contour: Contour) -> bool:
    return contour.kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


def _is_closed(region: RegionOfInterest) -> bool:
    return any(_encloses(contour) for contour in region.contours)


def read_regions(dataset: Dataset) -> tuple[RegionOfInterest, ...]:
    """Return the regions of a structure set, in its order.

    Raises
    ------
    AttributeError, TypeError, ValueError
        If they cannot be read.
    """
    drawn = {int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence") or []}
    kinds = {
        int(item.ReferencedROINumber): str(item.get("RTROIInterpretedType") or "")
        for item in dataset.get("RTROIObservationsSequence") or []
    }
    regions = []
    for item in dataset.get("StructureSetROISequence") or []:
        number = int(item.ROINumber)
        drawing = drawn.get(number, Dataset())
        colour = drawing.get("ROIDisplayColor")
        regions.append(
            RegionOfInterest(
                number=number,
                name=str(item.get("ROIName") or f"region {number}"),
                kind=kinds.get(number, ""),
                colour=(int(colour[0]), int(colour[1]), int(colour[2])) if colour and len(colour) == 3 else None,
                contours=tuple(_read_contour(contour) for contour in drawing.get("ContourSequence") or []),
            )
        )
    return tuple(regions)


def _read_contour(item: Dataset) -> Contour:
    images = item.get("ContourImageSequence") or []
    points = np.array(item.get("ContourData") or [], dtype=np.float64).reshape(-1, 3)
    uids = tuple(str(image.ReferencedSOPInstanceUID) for image in images)
    return Contour(points, str(item.get("ContourGeometricType") or ""), uids)


def list_images(dataset: Dataset) -> dict[str, list[str]]:
    """Return the SOPInstanceUIDs of the images that a structure set was drawn on, by their SeriesInstanceUID."""
    found: dict[str, list[str]] = {}
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                images = [str(item.ReferencedSOPInstanceUID) for item in series.get("ContourImageSequence") or []]
                found.setdefault(str(series.SeriesInstanceUID), []).extend(images)
    return found
