"""The allow-list of TIFF tags in a slide's directories; ``tiff_tags.csv`` holds it.

Sources: TIFF 6.0, TIFF/EP, BigTIFF, Aperio's and Hamamatsu's private tags as OpenSlide and tifffile know them.
"""

from __future__ import annotations

from collections import defaultdict

from aurelius_deidentify.data_files import read_rows

DESCRIPTION, MAKE, JPEG_TABLES, ICC_PROFILE = 270, 271, 347, 34675

_CODES: dict[str, set[int]] = defaultdict(set)
for _row in read_rows(__package__, "tiff_tags.csv"):
    _CODES[_row["kind"]].add(int(_row["code"]))
#: Numbers that say how the image is arranged, compressed and coloured; of Hamamatsu also lens, focus and light.
NUMBERS = frozenset(_CODES["image"] | _CODES["hamamatsu"])
#: The same, with as many numbers as the image has tiles, strips or colours.
ARRAYS = frozenset(_CODES["array"])
#: Texts that say who, where, when or by what: searched for in what is written.
IDENTIFYING = tuple(sorted(_CODES["identifying"]))
NUMERIC_KINDS = frozenset([3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18])
MOST_NUMBERS = 64
COMPRESSION_JPEG = frozenset([7])
COMPRESSION_JPEG2000 = frozenset([33003, 33004, 33005, 34712])
#: None, LZW, Deflate, PackBits, LZMA, Zstandard: codecs whose streams hold nothing but pixels.
COMPRESSION_PLAIN = frozenset([1, 5, 8, 32773, 32946, 34925, 50000])


def keeps_numbers(code: int, kind: int, count: int) -> bool:
    """Whether a tag may stay as it is."""
    if kind not in NUMERIC_KINDS:
        return False
    return code in ARRAYS or (code in NUMBERS and count <= MOST_NUMBERS)
