"""The encoding of a label map between client and service: a ``.npy`` array (NumPy NEP 1), compressed with gzip."""

from __future__ import annotations

import gzip
import io
import zlib

import numpy as np

from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.store import LabelMap

#: What a ``.npy`` header may add to the voxels; real ones take 128 bytes.
HEADER_BYTES = 4096
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def pack_labelmap(labelmap: LabelMap) -> bytes:
    """Compress a label map.

    Parameters
    ----------
    labelmap
        ``(z, y, x)`` uint8, segment numbers; 0 is background.
    """
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(labelmap), allow_pickle=False)
    return gzip.compress(buffer.getvalue(), compresslevel=1)


def unpack_labelmap(data: bytes, n_voxels: int) -> LabelMap:
    """Read a label map that somebody sent.

    Parameters
    ----------
    data
        What `pack_labelmap` made.
    n_voxels
        Voxels of the series it is for; nothing larger is unpacked.

    Returns
    -------
    numpy.ndarray
        ``(z, y, x)`` uint8.

    Raises
    ------
    InvalidLabel
        If the bytes are no such array, or a larger one than the series.
    """
    limit = n_voxels + HEADER_BYTES
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = inflater.decompress(data, limit + 1)
        if len(plain) > limit:
            raise InvalidLabel(f"The label map is larger than its series ({n_voxels} voxels). Send one on its grid.")
        array = np.lib.format.read_array(io.BytesIO(plain), allow_pickle=False)
    except (zlib.error, ValueError, EOFError, OSError, SyntaxError) as error:
        raise InvalidLabel("The label map is not a gzip-compressed .npy array. Send what numpy.save writes.") from error
    if array.dtype != np.uint8:
        raise InvalidLabel(f"The label map holds {array.dtype}; it must hold uint8 segment numbers.")
    return array
