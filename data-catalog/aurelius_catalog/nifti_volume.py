"""A stored NIfTI file as a volume with a place in the patient."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import xarray as xr

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.media import NIFTI
from aurelius_catalog.model import InstanceRecord
from aurelius_catalog.nifti import LPS_TO_RAS
from aurelius_catalog.store import Store


def open_nifti(store: Store, instance: InstanceRecord) -> xr.DataArray:
    """Read a stored NIfTI volume, voxels rescaled as its header says.

    Returns
    -------
    xarray.DataArray
        ``(z, y, x)`` float32 in the order of its voxel axes, with coordinates in mm from the first voxel and
        ``attrs["affine_lps"]``, which maps (x, y, z, 1) of the voxel axes to patient LPS in mm.

    Raises
    ------
    InvalidVolume
        If it is a slide, or has more or fewer than three axes.
    """
    if instance.media_type != NIFTI:
        raise InvalidVolume("This is a whole-slide file, not a volume: open it with `series.open_slide()`.")
    content = store.read_file(instance.SOPInstanceUID)
    kind = nib.Nifti2Image if content[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    image = kind.from_bytes(content)
    if len(image.shape) != 3:
        raise InvalidVolume(
            f"This NIfTI has {len(image.shape)} axes, not three: read it with nibabel from what "
            "`series.read_files()` returns."
        )
    spacing = [float(size) for size in image.header.get_zooms()][::-1]
    data = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    coordinates = {
        name: (name, np.arange(size) * step, {"units": "mm"})
        for name, size, step in zip("zyx", data.shape, spacing, strict=True)
    }
    attributes = {
        "units": "",
        "affine_lps": (LPS_TO_RAS @ image.affine).tolist(),
        "spacing_mm": spacing,
        "SeriesInstanceUID": instance.SeriesInstanceUID,
    }
    return xr.DataArray(data, coordinates, ("z", "y", "x"), name="image", attrs=attributes)
