"""A slide in the notebook: OpenSeadragon in an anywidget whose tiles come from the kernel, not from a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike

from aurelius_catalog.errors import AureliusError, InvalidRequest
from aurelius_catalog.records import SlideRecord
from aurelius_catalog.store import Store
from aurelius_catalog.viewing.slide_label import TILE_PX, SlideLabel, draw_tile
from aurelius_catalog.viewing.web_assets import find_web_asset, read_bundle

#: Tiles of all viewers of a kernel that are made at once.
_POOL = ThreadPoolExecutor(4, thread_name_prefix="slide-viewer")
#: Tiles one viewer may wait for; more than these no screen shows.
MOST_WAITING = 256
_HERE = Path(__file__).parent


class SlideViewer(anywidget.AnyWidget):
    """A slide to move and zoom in, in a notebook or a dashboard; it loads nothing from anywhere.

    Parameters
    ----------
    store
        Where the tiles are read from, with that person's rights.
    record
        The record of the slide.
    regions
        Outlines to draw over it: name to one outline or several, each ``(point, 2)`` of x and y in micrometres (in
        pixels of level 0 where the slide does not say how large those are).
    height_px
        Height on the page in CSS pixels; the width is that of the page.
    labels
        The labels over it, drawn tile by tile as they come into view.

    Attributes
    ----------
    hidden : list of str
        What the legend switched off: ``"<number of the label>/<number of the mark>"``, or ``"regions/<name>"``.
    visible : list of float
        What is shown at the moment: x, y, width and height, in the unit of the outlines; empty before it is shown.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    slide = traitlets.Dict().tag(sync=True)
    regions: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    height_px = traitlets.Int(480).tag(sync=True)
    layers: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    hidden: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    visible = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        store: Store,
        record: SlideRecord,
        regions: Mapping[str, ArrayLike] | None = None,
        height_px: int = 480,
        labels: Sequence[SlideLabel] = (),
    ) -> None:
        finest = record.levels[0]
        known = record.mpp_x is not None and record.mpp_y is not None
        slide = {
            "width": finest.width,
            "height": finest.height,
            "tile_px": record.tile_px,
            "overlap_px": record.overlap_px,
            "mpp": [record.mpp_x, record.mpp_y] if known else None,
            "power": record.objective_power,
        }
        layers = [_describe_layer(number, label) for number, label in enumerate(labels)]
        super().__init__(slide=slide, regions=_list_outlines(regions or {}), height_px=height_px, layers=layers)
        self._store, self._uid, self._labels = store, record.SeriesInstanceUID, tuple(labels)
        self._waiting: dict[str, Future[None]] = {}
        self.on_msg(self._receive)

    @traitlets.default("_esm")
    def _read_script(self) -> str:
        library = find_web_asset("openseadragon", "openseadragon.min.js").read_text()
        script = read_bundle(_HERE, "slide_viewer")
        # Where a page has a module loader of its own, the library must not look for it: it is wanted just here.
        return f"const define = undefined, module = undefined;\n{library}\n{script}"

    @traitlets.default("_css")
    def _read_style(self) -> str:
        return (_HERE / "slide_viewer.css").read_text()

    def _receive(self, _: object, content: Any, buffers: object) -> None:
        """Take a message of the page, which is not to be trusted."""
        match content:
            case {"kind": "tile", "id": str(number), "level": int(level), "column": int(column), "row": int(row)}:
                layer = content.get("layer")
                known = layer is None or (isinstance(layer, int) and 0 <= layer < len(self._labels))
                if known and len(number) < 64 and len(self._waiting) < MOST_WAITING:
                    tile = self._waiting[number] = _POOL.submit(self._send_tile, number, layer, level, column, row)
                    tile.add_done_callback(lambda _: self._waiting.pop(number, None))
            case {"kind": "drop", "id": str(number)}:
                if waiting := self._waiting.pop(number, None):
                    waiting.cancel()

    def _send_tile(self, number: str, layer: int | None, level: int, column: int, row: int) -> None:
        try:
            if layer is None:
                tile = self._store.read_slide_tile(self._uid, level, column, row)
            else:
                tile = draw_tile(self._labels[layer], level, column, row, self._list_shown(layer))
            self.send({"kind": "tile", "id": number}, [tile])
        except AureliusError as error:
            self.send({"kind": "tile", "id": number, "error": str(error)})

    def _list_shown(self, layer: int) -> set[int]:
        hidden = set(self.hidden)
        return {mark.number for mark in self._labels[layer].marks if f"{layer}/{mark.number}" not in hidden}


def _describe_layer(number: int, label: SlideLabel) -> dict[str, Any]:
    """Describe to the page where a label lies, in pixels of level 0, and what its legend is."""
    (width, height), place = label.size, label.place
    marks = [
        {"key": f"{number}/{mark.number}", "label": mark.label, "colour": f"#{bytes(mark.colour).hex()}"}
        for mark in label.marks
    ]
    return {
        "name": label.name,
        "width": width,
        "height": height,
        "tile_px": TILE_PX,
        "place": [place.x, place.y, width * place.by_x, height * place.by_y],
        "marks": marks,
    }


def _list_outlines(regions: Mapping[str, ArrayLike | Sequence[ArrayLike]]) -> list[dict[str, Any]]:
    outlines = []
    for label, given in regions.items():
        several = _is_several(given)
        for each in given if several else [given]:  # type: ignore[union-attr]
            points = np.asarray(each, dtype=float)
            if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
                raise InvalidRequest(f"An outline of {label!r} is no list of three or more points (x, y).")
            outlines.append({"label": label, "points": points.tolist()})
    return outlines


def _is_several(given: Any) -> bool:
    try:
        return np.ndim(given) == 3
    except ValueError:  # outlines of different lengths
        return True
