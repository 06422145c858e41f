"""The arrangement of a series' frames into volumes, and their axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.volumes.geometry import (
    ORIENTATION_TOLERANCE,
    PLACE_TOLERANCE_MM,
    find_runs,
    measure_depths,
)
from aurelius_catalog.volumes.planes import Planes

Axis = tuple[str, tuple[Any, ...], str]


@dataclass(frozen=True)
class VolumeLayout:
    """Frames that make one array.

    Parameters
    ----------
    planes
        In the order of the array: the slices of the first volume, those of the second, …
    axes
        The axes before the slices: name, one value per step, and its unit.
    n_slices
        How many frames one volume has.
    placed
        Whether the frames have a place in the patient.
    apart
        Why the other frames of the series are not in the same array; empty if there are none.
    """

    planes: Planes
    n_slices: int
    axes: tuple[Axis, ...] = ()
    placed: bool = True
    apart: str = ""

    @property
    def slices(self) -> Planes:
        """The frames of the first volume."""
        return self.planes.select(range(self.n_slices))


@dataclass(frozen=True)
class _Mark:
    """An attribute that may tell frames at one place apart, and the axis it makes.

    ``scale`` brings its numbers to the unit. ``anywhere``: its values differ from slice to slice too (moments of
    acquisition), so that only their order counts.
    """

    keyword: str
    axis: str
    unit: str = ""
    scale: float = 1.0
    anywhere: bool = False


#: In the order in which they are tried; those further up make the outer axes.
MARKS = (
    _Mark("StackID", "stack"),
    _Mark("ComplexImageComponent", "component"),
    _Mark("FrameType", "kind"),
    _Mark("ImageType", "kind"),
    _Mark("EffectiveEchoTime", "echo", "ms"),
    _Mark("EchoTime", "echo", "ms"),
    _Mark("EchoNumbers", "echo"),
    _Mark("InversionTime", "ti", "ms"),
    _Mark("FlipAngle", "flip", "degrees"),
    _Mark("NominalCardiacTriggerDelayTime", "phase", "ms"),
    _Mark("TemporalPositionTimeOffset", "t", "s"),
    _Mark("TemporalPositionIndex", "t"),
    _Mark("TemporalPositionIdentifier", "t"),
    _Mark("TriggerTime", "phase", "ms", anywhere=True),
    _Mark("FrameReferenceTime", "t", "s", 1e-3, anywhere=True),
    _Mark("AcquisitionNumber", "t"),
    _Mark("FrameAcquisitionNumber", "t", anywhere=True),
    _Mark("AcquisitionDateTime", "t", "s", anywhere=True),
    _Mark("AcquisitionTime", "t", "s", anywhere=True),
    _Mark("ContentTime", "t", "s", anywhere=True),
)
_MOMENTS = ("AcquisitionDateTime", "AcquisitionTime", "ContentTime")
#: What puts the frames of a diffusion series in order; none of them is an axis of its own.
_DIFFUSION_ORDER = ("TemporalPositionIndex", "TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber")


def lay_out(planes: Planes) -> list[VolumeLayout]:
    """Part the frames of a series into arrays; nothing is left out.

    Frames of one format and orientation belong together. Where several lie at one place, what the headers say of
    them becomes an axis (`MARKS`); where it does not, or not evenly, they become several arrays, as do the two sides
    of a gap.
    """
    groups: dict[tuple[Hashable, int], list[int]] = {}
    for number, key in enumerate(zip(planes.formats, _number_directions(planes), strict=True)):
        groups.setdefault(key, []).append(number)
    found: list[VolumeLayout] = []
    for (_, direction), numbers in groups.items():
        group = planes.select(numbers)
        found += [VolumeLayout(group, len(group), placed=False)] if direction < 0 else _stack(group)
    if len(groups) > 1:
        found = [
            replace(layout, apart=layout.apart or "images differ in size, kind or orientation") for layout in found
        ]
    return found


def _number_directions(planes: Planes) -> list[int]:
    """Return which orientation and pixel spacing each frame has, as a number; -1 where it has no place."""
    seen = np.hstack([planes.orientations, planes.spacings_mm])
    numbers = np.full(len(planes), -1)
    left = planes.are_placed.copy()
    while left.any():
        first = int(np.argmax(left))
        same = left & (np.abs(seen - seen[first]).max(axis=1) <= ORIENTATION_TOLERANCE)
        numbers[same] = first
        left &= ~same
    return numbers.tolist()


def _stack(planes: Planes) -> list[VolumeLayout]:
    """Part frames of one format and orientation."""
    places = _find_places(planes)
    counts = np.bincount(places)
    if counts.max() == 1:
        return _part_at_gaps(planes.select(np.argsort(places)))
    if counts.min() == counts.max():
        axes, order = _find_axes(planes, places, int(counts[0]))
        if order is not None:
            ordered = planes.select(order)
            runs = find_runs(measure_depths(ordered.select(range(len(counts)))))
            if len(runs) == 1:
                return [VolumeLayout(ordered, len(counts), axes)]
    return _part_by_mark(planes, places)


def _find_places(planes: Planes) -> NDArray[np.int64]:
    """Return the number of each frame's place, counted along the normal: ``(frames,)`` int64."""
    depths = measure_depths(planes)
    order = np.lexsort((*planes.positions.T, np.round(depths, 3)))
    moved = np.linalg.norm(np.diff(planes.positions[order], axis=0), axis=1) > PLACE_TOLERANCE_MM
    places = np.empty(len(planes), np.int64)
    places[order] = np.concatenate([[0], np.cumsum(moved)])
    return places


def _find_axes(
    planes: Planes, places: NDArray[np.int64], repeats: int
) -> tuple[tuple[Axis, ...], NDArray[np.int64] | None]:
    """Find what tells the frames at each place apart; the order is None where nothing does."""
    n_places = len(planes) // repeats
    table = np.argsort(places, kind="stable").reshape(n_places, repeats)  # frames by place
    if diffusion := _order_diffusion(planes, table):
        return diffusion
    axes: list[Axis] = []
    keys: list[NDArray[np.int64]] = []  # for each axis, which step of it every frame is
    left = repeats
    for mark in MARKS:
        if left == 1:
            break
        if any(name == mark.axis for name, _, _ in axes):
            continue
        step = _try_mark(planes.read(mark.keyword), table, mark, left, keys)
        if step is not None:
            values, ranks = step
            axes.append((mark.axis, values, mark.unit))
            keys.append(ranks)
            left //= len(values)
    if left > 1:
        return (), None
    order = np.lexsort((places, *reversed(keys)))
    return tuple(axes), order


def _try_mark(
    values: list[Any], table: NDArray[np.int64], mark: _Mark, left: int, keys: list[NDArray[np.int64]]
) -> tuple[tuple[Any, ...], NDArray[np.int64]] | None:
    """Return the steps of an axis and each frame's step on it; None unless it parts the frames at each place evenly."""
    read = [_read_seconds(value) if mark.keyword in _MOMENTS else value for value in values]
    if any(value is None for value in read):
        return None
    repeats = table.shape[1]
    ranks = np.empty(len(values), np.int64)
    if mark.anywhere:
        for row in table:
            known = sorted({_freeze(read[frame]) for frame in row})
            position = {value: rank for rank, value in enumerate(known)}
            ranks[row] = [position[_freeze(read[frame])] for frame in row]
    else:
        known = sorted({_freeze(value) for value in read})
        position = {value: rank for rank, value in enumerate(known)}
        ranks[:] = [position[_freeze(value)] for value in read]
    steps = int(ranks.max()) + 1
    if steps < 2 or left % steps:
        return None
    # Together with the axes found so far, every combination must occur equally often at every place.
    combined = np.zeros(len(values), np.int64)
    for key in [*keys, ranks]:
        combined = combined * (int(key.max()) + 1) + key
    n_combinations = repeats // left * steps
    for row in table:
        if (np.bincount(combined[row], minlength=n_combinations) != left // steps).any():
            return None
    first = table[0]
    shown = [next(read[frame] for frame in first if ranks[frame] == step) for step in range(steps)]
    return tuple(_scale(shown, mark)), ranks


def _order_diffusion(planes: Planes, table: NDArray[np.int64]) -> tuple[tuple[Axis, ...], NDArray[np.int64]] | None:
    """Put the volumes of a diffusion series in the order they were taken: b-values repeat, with other directions."""
    weights = planes.read("DiffusionBValue")
    if any(weight is None for weight in weights) or len(set(weights)) < 2:
        return None
    for keyword in _DIFFUSION_ORDER:
        marks = planes.read(keyword)
        if any(mark is None for mark in marks):
            continue
        rows = np.array([sorted(row, key=lambda frame: marks[frame]) for row in table])
        distinct = all(len({marks[frame] for frame in row}) == len(row) for row in rows)
        by_row = [[weights[frame] for frame in row] for row in rows]
        if distinct and all(row == by_row[0] for row in by_row):
            return (("b", tuple(by_row[0]), "s/mm²"),), rows.T.ravel()
    return None


def _part_at_gaps(planes: Planes) -> list[VolumeLayout]:
    depths = measure_depths(planes)
    parts = [planes.select(range(len(planes))[run]) for run in find_runs(depths)]
    steps = np.diff(depths)
    apart = ""
    if len(parts) > 1:
        apart = f"slices are missing or unevenly spaced ({steps.min():.3f} to {steps.max():.3f} mm)"
    return [VolumeLayout(part, len(part), apart=apart) for part in parts]


def _part_by_mark(planes: Planes, places: NDArray[np.int64]) -> list[VolumeLayout]:
    """Part frames of which some lie at one place into volumes in which none do."""
    for mark in MARKS:
        values = [_freeze(value) for value in planes.read(mark.keyword)]
        groups: dict[Hashable, list[int]] = {}
        for number, value in enumerate(values):
            groups.setdefault(value, []).append(number)
        if len(groups) > 1 and all(len(set(places[numbers])) == len(numbers) for numbers in groups.values()):
            apart = f"images lie at the same place, with other {mark.keyword}"
            return _part(planes, places, list(groups.values()), apart)
    # Nothing tells them apart but the order they were taken in: the first at each place, the second at each, …
    taken = [instance.InstanceNumber or 0 for instance, _ in planes.frames]
    order = sorted(range(len(planes)), key=lambda number: (places[number], taken[number]))
    passes: dict[int, list[int]] = {}
    seen: dict[int, int] = {}
    for number in order:
        number_of_pass = seen[int(places[number])] = seen.get(int(places[number]), -1) + 1
        passes.setdefault(number_of_pass, []).append(number)
    apart = "several images lie at the same place, and nothing in their headers tells them apart"
    return _part(planes, places, list(passes.values()), apart)


def _part(planes: Planes, places: NDArray[np.int64], groups: list[list[int]], apart: str) -> list[VolumeLayout]:
    parts = [planes.select(sorted(numbers, key=lambda number: places[number])) for numbers in groups]
    return [replace(layout, apart=layout.apart or apart) for part in parts for layout in _part_at_gaps(part)]


def _freeze(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _read_seconds(value: str | None) -> float | None:
    """Return a DICOM TM or DT (PS3.5 section 6.2) as seconds of its day; None if it is malformed."""
    if value is None:
        return None
    text = value.partition("+")[0].partition("-")[0]  # without the zone
    clock, _, fraction = text.partition(".")
    clock = clock[8:] if len(clock) > 8 else clock
    if not clock.isdigit() or len(clock) % 2 or len(clock) > 6:
        return None
    numbers = [int(clock[at : at + 2]) for at in range(0, len(clock), 2)]
    whole = sum(number * unit for number, unit in zip(numbers, (3600, 60, 1), strict=False))
    return whole + (float(f"0.{fraction}") if fraction.isdigit() else 0.0)


def _scale(values: Sequence[Any], mark: _Mark) -> list[Any]:
    if mark.unit == "s" and mark.anywhere:
        return [round((value - values[0]) * mark.scale, 6) for value in values]
    return list(values)


def describe_layouts(layouts: Sequence[VolumeLayout]) -> str:
    """Describe the parts of a series for people."""
    kinds: Counter[str] = Counter()
    for layout in layouts:
        first, count = layout.planes.first, len(layout.planes)
        what = f"{count} image{'s' if count > 1 else ''} of {first.Rows} × {first.Columns}"
        kinds[what if layout.placed else f"{what} without a position"] += 1
    lines = [what if times == 1 else f"{times} times {what}" for what, times in kinds.items()]
    return "; ".join(lines[:8]) + ("; …" if len(lines) > 8 else "")


def choose_one(layouts: Sequence[VolumeLayout]) -> VolumeLayout:
    """Return the only array of a series.

    Raises
    ------
    InvalidVolume
        If there is none, or more than one.
    """
    if not layouts:
        raise InvalidVolume("This series holds no image. `series.record.Modality` says what it is.")
    if len(layouts) > 1:
        reasons = "; ".join(dict.fromkeys(layout.apart for layout in layouts))
        raise InvalidVolume(
            f"This series holds more than one volume, {len(layouts)} of them: {reasons}. "
            f"`series.volumes()` opens each: {describe_layouts(layouts)}."
        )
    return layouts[0]
