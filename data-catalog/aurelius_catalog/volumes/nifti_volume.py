"""A stored NIfTI file as a volume with a place in the patient."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import xarray as xr
from numpy.typing import DTypeLike

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.store import PixelStore
from aurelius_catalog.volumes.geometry import LPS_TO_RAS
from aurelius_deidentify.media_types import NIFTI

#: Units of time a NIfTI may name, in seconds.
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def open_nifti(store: PixelStore, instance: InstanceRecord, dtype: DTypeLike | None = None) -> xr.DataArray:
    """Read a stored NIfTI volume, voxels rescaled as its header says.

    Parameters
    ----------
    store, instance
        The store that holds it, and its record.
    dtype
        ``"stored"`` for the numbers as they are in the file; None: float32.

    Returns
    -------
    xarray.DataArray
        ``(z, y, x)``, or ``(t, z, y, x)`` of several volumes, in the order of its voxel axes, float32 or ``dtype``, in
        the file's own unit (a NIfTI does not name it); coordinates in mm from the first voxel, and seconds from the
        first volume;
        ``attrs["affine_lps"]`` maps (x, y, z, 1) of the voxel axes to patient LPS in mm.

    Raises
    ------
    InvalidVolume
        If it is a slide, or has neither three nor four axes.
    """
    if instance.media_type != NIFTI:
        raise InvalidVolume("This is a whole-slide file, not a volume: open it with `series.open_slide()`.")
    content = store.read_file(instance.SOPInstanceUID)
    kind = nib.Nifti2Image if content[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    image = kind.from_bytes(content)
    if len(image.shape) not in (3, 4):
        raise InvalidVolume(
            f"This NIfTI has {len(image.shape)} axes, not three or four: read it with nibabel from what "
            "`series.read_files()` returns."
        )
    names = ("t", "z", "y", "x")[-len(image.shape) :]
    proxy: Any = image.dataobj
    voxels = proxy.get_unscaled() if dtype == "stored" else np.asarray(proxy, dtype=dtype or np.float32)
    data = np.ascontiguousarray(voxels.T)
    steps = dict(zip(names, [float(size) for size in image.header.get_zooms()][::-1], strict=True))
    if image.header.get_xyzt_units()[1] in _SECONDS:
        steps["t"] = steps.get("t", 0.0) * _SECONDS[image.header.get_xyzt_units()[1]]
    spacing = [steps[name] for name in "zyx"]
    coordinates = {
        name: (name, np.arange(size) * steps[name], {"units": "s" if name == "t" else "mm"})
        for name, size in zip(names, data.shape, strict=True)
    }
    attributes = {
        "units": "",
        "affine_lps": (LPS_TO_RAS @ image.affine).tolist(),
        "spacing_mm": spacing,
        "SeriesInstanceUID": instance.SeriesInstanceUID,
    }
    return xr.DataArray(data, coordinates, names, name="image", attrs=attributes)
