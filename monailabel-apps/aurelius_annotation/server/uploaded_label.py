"""The label an annotator uploads, in any format that 3D Slicer saves a segmentation in; all else is refused.

An upload is untrusted: sizes are checked before anything is unpacked, and no path in it is followed.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nibabel
import nrrd
import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidLabel

#: Formats that are read, longest first, because ``x.seg.nrrd`` also ends in ``.nrrd``.
SUFFIXES = (".seg.nrrd", ".nii.gz", ".nrrd", ".nii")
#: LPS = RAS with x and y turned around (NIfTI-1 is RAS, DICOM LPS).
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Matrices from the spaces of NRRD to patient LPS.
NRRD_SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), np.eye(4)),
    **dict.fromkeys(("right-anterior-superior", "ras"), RAS_TO_LPS),
    **dict.fromkeys(("left-anterior-superior", "las"), np.diag([1.0, -1.0, 1.0, 1.0])),
}
#: Bytes a voxel takes at most, in any type a label is saved as.
VOXEL_BYTES = 8


@dataclass(frozen=True, eq=False)
class UploadedLabel:
    """A label as it was uploaded, on its own grid.

    Parameters
    ----------
    values
        (i, j, k) uint8, voxel value = number of the segment; 0 is background.
    affine_lps
        4 x 4 float64; maps (i, j, k, 1) to mm, patient LPS.
    names
        Segment names by voxel value, where the file itself carries them.
    """

    values: NDArray[np.uint8]
    affine_lps: NDArray[np.float64]
    names: Mapping[int, str]


def find_suffix(filename: str) -> str:
    """Return the known suffix of an uploaded file's name; the client sends its full path, Windows' too.

    Raises
    ------
    InvalidLabel
        If the format is not one that is read.
    """
    name = re.split(r"[/\\]", filename)[-1].lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    raise InvalidLabel(f"Labels are read as {', '.join(SUFFIXES)}; this file is called none of these.")


def read_label(content: bytes, suffix: str, max_voxels: int) -> UploadedLabel:
    """Read an uploaded label.

    Parameters
    ----------
    content
        The file.
    suffix
        One of `SUFFIXES`.
    max_voxels
        Number of voxels of the image; a label cannot have more, in each of its layers.

    Raises
    ------
    InvalidLabel
        If the file is no label of such an image.
    """
    try:
        return _read_nifti(content, max_voxels) if ".nii" in suffix else _read_nrrd(content, max_voxels)
    except InvalidLabel:
        raise
    except Exception as error:  # nibabel and pynrrd raise whatever their parsing runs into
        raise InvalidLabel("The uploaded file cannot be read as a label: it is damaged or of another kind.") from error


def to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the same values as uint8.

    Parameters
    ----------
    values
        Labels of any shape and numeric dtype, whole numbers from 0 to 255.

    Raises
    ------
    InvalidLabel
        If a value is none of these.
    """
    if values.dtype == np.uint8:
        return values
    rounded = values.astype(np.uint8, casting="unsafe") if np.isfinite(values).all() else None
    if rounded is None or not np.array_equal(rounded, values):
        raise InvalidLabel("A label map holds whole numbers from 0 to 255; this file holds others.")
    return rounded


def _read_nifti(content: bytes, max_voxels: int) -> UploadedLabel:
    limit = max_voxels * VOXEL_BYTES + (1 << 20)
    if content[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            content = packed.read(limit + 1)
    _check_size(len(content), limit)
    image = nibabel.Nifti1Image.from_bytes(content)
    shape = [size for axis, size in enumerate(image.shape) if axis < 3 or size != 1]
    if len(shape) != 3:
        raise InvalidLabel(f"A label has three dimensions; this file has {len(shape)}.")
    values = to_uint8(np.asanyarray(image.dataobj).reshape(shape, order="F"))
    return UploadedLabel(values, RAS_TO_LPS @ image.affine, {})


def _read_nrrd(content: bytes, max_voxels: int) -> UploadedLabel:
    file = io.BytesIO(content)
    header = nrrd.read_header(file)
    if any(name in header for name in ("data file", "datafile", "byte skip", "line skip")):
        raise InvalidLabel("The label must be in the uploaded file itself; this one points to others.")
    space = NRRD_SPACES.get(str(header.get("space", "")).lower())
    if space is None:
        raise InvalidLabel("The label does not say in which space it lies (NRRD field `space`).")
    layers = _unpack(header, file.read(), max_voxels)
    directions = np.asarray(header["space directions"], float)
    affine = np.eye(4)
    affine[:3, :3] = directions[~np.isnan(directions).any(axis=1)].T
    affine[:3, 3] = np.asarray(header["space origin"], float)
    values, names = _merge_layers(header, layers)
    return UploadedLabel(values, space @ affine, names)


def _unpack(header: Mapping[str, Any], packed: bytes, max_voxels: int) -> NDArray[Any]:
    """Return the voxels of an NRRD as (layer, i, j, k)."""
    sizes = [int(size) for size in header["sizes"]]
    if len(sizes) not in (3, 4):
        raise InvalidLabel(f"A label has three dimensions, or four with layers; this file has {len(sizes)}.")
    _check_size(int(np.prod(sizes[-3:], dtype=object)), max_voxels)
    _check_size((len(sizes) == 4 and sizes[0]) or 1, 255)
    dtype = np.dtype(_NRRD_TYPES[header["type"].lower()])
    if dtype.itemsize > 1:
        dtype = dtype.newbyteorder(">" if header.get("endian") == "big" else "<")
    expected = int(np.prod(sizes)) * dtype.itemsize
    encoding = header.get("encoding", "raw").lower()
    if encoding in ("gzip", "gz"):
        packed = zlib.decompressobj(wbits=31).decompress(packed, expected)
    elif encoding != "raw":
        raise InvalidLabel(f"Labels are read with NRRD encoding raw or gzip; this one has {encoding!r}.")
    if len(packed) < expected:
        raise InvalidLabel("The uploaded file ends too early: it holds fewer voxels than its header says.")
    values = np.frombuffer(packed, dtype, count=expected // dtype.itemsize).reshape(sizes, order="F")
    return values if len(sizes) == 4 else values[None]


def _merge_layers(header: Mapping[str, Any], layers: NDArray[Any]) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Return one label map and the names in it; Slicer spreads segments over layers once any two could overlap."""
    layers = to_uint8(layers)
    segments = []
    for number in range(255):
        name = header.get(f"Segment{number}_Name")
        if name is None:
            break
        layer, value = (int(header.get(f"Segment{number}_{key}", default)) for key, default in _SEGMENT_DEFAULTS)
        segments.append((name, layer, value))
    if len(layers) == 1:
        return layers[0], {value: name for name, _, value in segments}
    merged = np.zeros(layers.shape[1:], np.uint8)
    names = {}
    for number, (name, layer, value) in enumerate(segments, start=1):
        inside = layers[layer] == value
        if merged[inside].any():
            raise InvalidLabel(f"Segment {name!r} overlaps another one: a voxel can belong to one segment only.")
        merged[inside] = number
        names[number] = name
    return merged, names


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise InvalidLabel("The label is larger than the image it is for: it belongs to another one.")


_SEGMENT_DEFAULTS = (("Layer", 0), ("LabelValue", 1))
_NRRD_TYPES = {
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("short", "short int", "signed short", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **{"float": "f4", "double": "f8"},
}
