"""Generated bodies of known truth: a chest CT with nodules, a brain MR with lesions.

They stand in for patients in the demo, the tests and the training of the small segmentation model. Only numpy is
used, because the annotation environment imports this module too and has none of the catalog's libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

PhantomKind = Literal["ct-chest", "mr-brain"]
Triple = tuple[float, float, float]

SHAPES: dict[PhantomKind, tuple[int, int, int]] = {"ct-chest": (40, 96, 96), "mr-brain": (36, 80, 80)}
SPACINGS_MM: dict[PhantomKind, Triple] = {"ct-chest": (3.0, 3.5, 3.5), "mr-brain": (4.0, 2.5, 2.5)}


@dataclass(frozen=True, eq=False)
class Phantom:
    """An image and where its findings are.

    Parameters
    ----------
    image
        (z, y, x) int16; Hounsfield units for ``ct-chest``, arbitrary signal (0..1200) for ``mr-brain``.
        z runs to the head, y to the back, x to the patient's left.
    truth
        (z, y, x) uint8 on the same grid; 1 marks a nodule or a lesion.
    spacing_mm
        Distance between voxel centres along (z, y, x), in mm.
    kind
        Which body it is.
    """

    image: NDArray[np.int16]
    truth: NDArray[np.uint8]
    spacing_mm: Triple
    kind: PhantomKind


def make_phantom(kind: PhantomKind, seed: int) -> Phantom:
    """Make one body; the same kind and seed give the same voxels everywhere.

    Parameters
    ----------
    kind
        ``"ct-chest"`` (1-3 nodules of 8-24 mm in the lungs) or ``"mr-brain"`` (1-2 lesions of 10-22 mm).
    seed
        Any non-negative integer; varies anatomy, findings and noise.

    Raises
    ------
    ValueError
        If ``kind`` is not one of the two.
    """
    if kind not in get_args(PhantomKind):
        raise ValueError(f"There is no phantom {kind!r}: choose one of {', '.join(get_args(PhantomKind))}.")
    canvas = _Canvas(kind, np.random.default_rng([seed, list(SHAPES).index(kind)]))
    return _draw_chest(canvas) if kind == "ct-chest" else _draw_brain(canvas)


class _Canvas:
    """A grid in mm, centred on the body, to which soft-edged ellipsoids are painted."""

    def __init__(self, kind: PhantomKind, random: np.random.Generator) -> None:
        self.kind = kind
        self.random = random
        self.spacing_mm = SPACINGS_MM[kind]
        shape = SHAPES[kind]
        axes = [(np.arange(n) - (n - 1) / 2) * d for n, d in zip(shape, self.spacing_mm, strict=True)]
        self.z, self.y, self.x = np.meshgrid(*axes, indexing="ij", sparse=True)
        self.signal = np.zeros(shape)
        self.truth = np.zeros(shape, np.uint8)

    def vary(self, value: float, share: float = 0.06) -> float:
        """Return ``value`` changed by up to ``share`` of itself."""
        return float(value * self.random.uniform(1 - share, 1 + share))

    def measure(self, centre: Triple, radii: Triple) -> NDArray[np.float64]:
        """Return the approximate signed distance in mm to an ellipsoid (z, y, x); negative inside."""
        (cz, cy, cx), (rz, ry, rx) = centre, radii
        scaled = np.sqrt(((self.z - cz) / rz) ** 2 + ((self.y - cy) / ry) ** 2 + ((self.x - cx) / rx) ** 2)
        return (scaled - 1.0) * float(min(rz, ry, rx))

    def paint(self, distance_mm: NDArray[np.float64], value: float) -> None:
        """Fill the inside of a shape with ``value``, over an edge about one voxel wide (partial volume)."""
        cover = np.clip(0.5 - distance_mm / min(self.spacing_mm), 0.0, 1.0)
        self.signal = self.signal * (1 - cover) + value * cover

    def paint_findings(
        self, allowed_mm: NDArray[np.float64], count: int, diameters_mm: tuple[float, float], value: float
    ) -> None:
        """Put ``count`` round findings wholly inside ``allowed_mm`` (negative inside), apart from each other."""
        free = allowed_mm.copy()
        for _ in range(count):
            radius = self.random.uniform(*diameters_mm) / 2
            candidates = np.argwhere(free < -(radius + 2))
            if len(candidates) == 0:
                radius = diameters_mm[0] / 2
                candidates = np.argwhere(free < -radius)
            index = candidates[self.random.integers(len(candidates))]
            centre = (float(self.z.flat[index[0]]), float(self.y.flat[index[1]]), float(self.x.flat[index[2]]))
            rz, ry, rx = (float(radius * self.random.uniform(0.88, 1.0)) for _ in range(3))
            distance = self.measure(centre, (rz, ry, rx))
            self.paint(distance, value)
            self.truth[distance <= 0] = 1
            free = np.maximum(free, -(distance - 6))  # the next one stays 6 mm away

    def finish(self, noise: float, low: int, high: int) -> Phantom:
        """Add the scanner's noise and hand out the phantom."""
        noisy = self.signal + self.random.normal(0.0, noise, self.signal.shape)
        image = np.clip(np.rint(noisy), low, high).astype(np.int16)
        return Phantom(image, self.truth, self.spacing_mm, self.kind)


def _draw_chest(canvas: _Canvas) -> Phantom:
    vary = canvas.vary
    canvas.signal[:] = -1000.0
    canvas.paint(canvas.measure((0, 0, 0), (400, vary(108), vary(150))), -100.0)  # skin and fat
    canvas.paint(canvas.measure((0, 0, 0), (380, vary(96), vary(137))), 45.0)  # muscle
    lungs = [canvas.measure((0, vary(-5), side * vary(68)), (vary(78), vary(72), vary(48))) for side in (-1, 1)]
    for lung in lungs:
        canvas.paint(lung, -850.0)
    heart = canvas.measure((vary(-15), vary(-25), vary(22)), (vary(48), vary(42), vary(50)))
    canvas.paint(heart, 50.0)
    air = np.maximum(np.minimum(*lungs), -heart)
    _draw_vessels(canvas, air)
    canvas.paint(canvas.measure((0, vary(72), 0), (400, vary(16), vary(17))), 300.0)  # spine
    canvas.paint(canvas.measure((0, vary(72), 0), (400, 7, 7)), 30.0)  # spinal canal
    canvas.paint_findings(air + 4.0, int(canvas.random.integers(1, 4)), (8.0, 24.0), 40.0)
    return canvas.finish(noise=18.0, low=-1024, high=1500)


def _draw_vessels(canvas: _Canvas, air: NDArray[np.float64]) -> None:
    # Thin bright branches from each hilum: what a model must learn not to call a nodule.
    for side in (-1, 1):
        for _ in range(5):
            along = canvas.random.normal(size=3) * (0.7, 0.7, 0.4) + (0, 0, side * 0.8)
            along /= np.linalg.norm(along)
            start = np.array([canvas.random.uniform(-25, 25), canvas.random.uniform(-15, 20), side * 32.0])
            dz, dy, dx = canvas.z - start[0], canvas.y - start[1], canvas.x - start[2]
            reach = dz * along[0] + dy * along[1] + dx * along[2]
            aside = np.sqrt(np.maximum(dz**2 + dy**2 + dx**2 - reach**2, 0.0))
            width = canvas.random.uniform(1.4, 2.6) * np.clip(1 - reach / 75, 0.0, 1.0)
            outside = np.maximum(np.maximum(aside - width, -reach), reach - 75)
            canvas.paint(np.maximum(outside, air), 20.0)


def _draw_brain(canvas: _Canvas) -> Phantom:
    vary = canvas.vary
    rz, ry, rx = vary(70), vary(92), vary(74)
    surfaces = [canvas.measure((0, 0, 0), (rz - depth, ry - depth, rx - depth)) for depth in (0.0, 5.0, 11.0, 20.0)]
    for surface, value in zip(surfaces, (520.0, 70.0, 430.0, 350.0), strict=True):  # scalp, skull, grey, white
        canvas.paint(surface, value)
    ventricles = [
        canvas.measure((vary(6), vary(4), side * vary(12)), (vary(12), vary(30), vary(7))) for side in (-1, 1)
    ]
    for ventricle in ventricles:
        canvas.paint(ventricle, 90.0)
    tissue = np.maximum(surfaces[2], -np.minimum(*ventricles))
    canvas.paint_findings(tissue + 2.0, int(canvas.random.integers(1, 3)), (10.0, 22.0), 780.0)
    tilt = canvas.random.uniform(-0.0008, 0.0008, size=3)  # the receive coil is not equally sensitive everywhere
    canvas.signal = canvas.signal * (1 + tilt[0] * canvas.z + tilt[1] * canvas.y + tilt[2] * canvas.x)
    return canvas.finish(noise=16.0, low=0, high=1200)
