"""The images of a case with the finding over them, opened at the slice where the finding is largest."""

from __future__ import annotations

import numpy as np
from ipyniivue import NiiVue, ShowRender, SliceType

from aurelius_catalog import Catalog
from aurelius_catalog.records import PredictionRecord
from aurelius_catalog.viewing.overlays import Overlay
from aurelius_catalog.viewing.volume_viewer import locate_finding, make_volumes

#: NiiVue's number for each of the page's planes.
SLICE_TYPES = {
    "Axial": SliceType.AXIAL,
    "Coronal": SliceType.CORONAL,
    "Sagittal": SliceType.SAGITTAL,
    "All": SliceType.MULTIPLANAR,
}


class ImagePane:
    """One viewer for all cases: the next case replaces the volumes, so that the viewer is loaded once."""

    def __init__(self) -> None:
        self.widget = NiiVue(
            height=600,
            slice_type=SliceType.AXIAL,
            multiplanar_show_render=ShowRender.NEVER,
            is_radiological_convention=True,
            back_color=(0.0, 0.0, 0.0, 1.0),
            crosshair_color=(0.42, 0.71, 1.0, 0.6),
            crosshair_width=0.3,
            crosshair_gap=8.0,
            font_color=(0.75, 0.79, 0.84, 1.0),
            is_corner_orientation_text=True,
            hero_slice_type=SliceType.AXIAL,
            hero_image_fraction=0.64,
            multiplanar_pad_pixels=4,
        )
        self.widget.add_class("au-image")

    def turn(self, plane: str) -> None:
        """Show another plane."""
        self.widget.set_slice_type(SLICE_TYPES[plane])

    def show(self, catalog: Catalog, prediction: PredictionRecord) -> None:
        """Load a prediction's series, lay the finding over it and go to the finding.

        Parameters
        ----------
        catalog
            Where images and finding are read from, with the viewer's rights.
        prediction
            What was found.

        Raises
        ------
        AureliusError
            When the series cannot be opened as one volume, or may not be seen.
        """
        self.widget.volumes = []
        image = catalog.series(prediction.SeriesInstanceUID).to_xarray()
        labels = catalog.prediction_labelmap(prediction)
        affine_lps = np.array(image.attrs["affine_lps"])
        finding = None if labels is None else Overlay(labels.to_numpy(), segments=prediction.segments)
        volumes = make_volumes(image.to_numpy(), affine_lps, [finding] if finding else [])
        if finding is not None and finding.array.any():
            self.widget.scene.crosshair_pos = locate_finding(finding, image.shape, affine_lps)
        else:
            self.widget.scene.crosshair_pos = [0.5, 0.5, 0.5]
        self.widget.load_volumes(volumes)
