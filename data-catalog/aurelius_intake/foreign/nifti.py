"""NIfTI files without the words in them: header fields that hold text are emptied, extensions left out.

Voxels and every number of the header stay as they are. Sources: nifti1.h, nifti2.h.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from math import isfinite, prod
from pathlib import Path

from aurelius_catalog.errors import NotDeidentifiable

#: Size of the header, by version; behind it four bytes that say whether extensions follow.
SIZES = {1: 348, 2: 540}
#: Text fields and fields nobody has used since ANALYZE: data_type, db_name, extents, session_error; glmax, glmin,
#: descrip, aux_file; intent_name. In version 2: descrip, aux_file; intent_name; unused_str.
BLANKS = {1: ((4, 38), (140, 252), (328, 344)), 2: ((240, 344), (508, 524), (525, 540))}
TEXTS = {1: ((4, 14), (14, 32), (148, 228), (228, 252), (328, 344)), 2: ((240, 320), (320, 344), (508, 524))}
GZIP = b"\x1f\x8b"
SHORTEST_EVIDENCE = 6
BLOCK_BYTES = 8 * 1024 * 1024
DAMAGED = "The NIfTI file is damaged: it ends before its last voxel, or cannot be unpacked. Export it anew."


@dataclass(frozen=True)
class NiftiPlan:
    """A clean copy of one NIfTI file: its new header, and where its voxels are.

    ``shape`` counts voxels along all axes, ``spacing`` is their distance along the first three, in mm if the file says
    nothing else.
    """

    path: Path
    header: bytes
    data_at: int
    data_bytes: int
    shape: tuple[int, ...]
    spacing: tuple[float, float, float]
    evidence: frozenset[str]

    def write(self, target: Path) -> None:
        """Write the clean copy, not compressed, so that it can be searched and read in parts.

        Raises
        ------
        NotDeidentifiable
            If the file ends before its last voxel.
        """
        try:
            with _open(self.path) as source, target.open("wb") as written:
                written.write(self.header)
                _skip(source, self.data_at)
                remains = self.data_bytes
                while remains:
                    block = source.read(min(BLOCK_BYTES, remains))
                    if not block:
                        raise NotDeidentifiable(DAMAGED)
                    written.write(block)
                    remains -= len(block)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise NotDeidentifiable(DAMAGED) from None


def plan_nifti(path: Path) -> NiftiPlan | None:
    """Plan the clean copy of a NIfTI file, compressed or not; None if it is none.

    Raises
    ------
    NotDeidentifiable
        If its header contradicts itself, or its voxels are in another file.
    """
    try:
        with _open(path) as file:
            head = file.read(SIZES[2] + 4)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return None  # an archive of something else, or a broken one: nothing says it is NIfTI
    found = _find_version(head)
    if found is None:
        return None
    version, order = found
    magic = head[344:348] if version == 1 else head[4:8]
    if not magic.startswith(b"n+"):
        raise NotDeidentifiable("The voxels of this NIfTI are in another file: save both as one .nii file.")
    size = SIZES[version]
    if version == 1:
        dims = struct.unpack(f"{order}8h", head[40:56])
        steps = struct.unpack(f"{order}3f", head[80:92])
        (bits,) = struct.unpack(f"{order}h", head[72:74])
        (at,) = struct.unpack(f"{order}f", head[108:112])
        data_at = int(at) if isfinite(at) else 0
        offset = struct.pack(f"{order}f", size + 4)
    else:
        dims = struct.unpack(f"{order}8q", head[16:80])
        steps = struct.unpack(f"{order}3d", head[112:136])
        (bits,) = struct.unpack(f"{order}h", head[14:16])
        (data_at,) = struct.unpack(f"{order}q", head[168:176])
        offset = struct.pack(f"{order}q", size + 4)
    sizes = dims[1 : dims[0] + 1]
    if not 1 <= dims[0] <= 7 or min(sizes) < 1 or bits < 1 or data_at < size:
        raise NotDeidentifiable("The header of the NIfTI file contradicts itself. Export it anew.")
    header = bytearray(head[:size])
    for start, end in BLANKS[version]:
        header[start:end] = bytes(end - start)
    field = 108 if version == 1 else 168
    header[field : field + len(offset)] = offset
    evidence = frozenset(
        text
        for start, end in TEXTS[version]
        if len(text := head[start:end].split(b"\0")[0].decode("latin-1").strip()) > 5
    )
    x, y, z = (round(abs(step), 6) if isfinite(step) else 0.0 for step in steps)
    return NiftiPlan(path, bytes(header) + bytes(4), data_at, prod(sizes) * bits // 8, sizes, (x, y, z), evidence)


def _find_version(head: bytes) -> tuple[int, str] | None:
    for version, size in SIZES.items():
        for order in "<>":
            magic = head[344:348] if version == 1 else head[4:8]
            if head[:4] == struct.pack(f"{order}i", size) and magic in (b"n+1\0", b"ni1\0", b"n+2\0", b"ni2\0"):
                return version, order
    return None


@contextmanager
def _open(path: Path) -> Iterator[BufferedIOBase]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.open(file) as unpacked:
            yield unpacked


def _skip(file: BufferedIOBase, size: int) -> None:
    while size:
        block = file.read(min(BLOCK_BYTES, size))
        if not block:
            raise NotDeidentifiable(DAMAGED)
        size -= len(block)
