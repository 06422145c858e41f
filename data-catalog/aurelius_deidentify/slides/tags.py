"""Which tags of a slide's directories stay, and what is left of their values: an allow-list.

Sources: TIFF 6.0, TIFF/EP, BigTIFF, Aperio's and Hamamatsu's private tags as OpenSlide and tifffile know them.
"""

from __future__ import annotations

from aurelius_deidentify.slides.tiff import SUB_IFDS

DESCRIPTION, MAKE, JPEG_TABLES, ICC_PROFILE = 270, 271, 347, 34675

#: How the image is arranged, compressed and coloured: numbers only.
IMAGE = frozenset(
    {
        *(254, 255, 256, 257, 258, 259, 262, 263, 266, 274, 277, 278, 280, 281, 282, 283, 284, 286, 287, 290, 291),
        *(296, 317, 318, 319, 322, 323, 332, 334, 338, 339, 340, 341, 529, 530, 531, 532, 32997, 32998),
    }
)
#: The same, with as many numbers as the image has tiles, strips or colours.
ARRAYS = frozenset([273, 279, 320, 324, 325, SUB_IFDS, 65426, 65432])
#: Hamamatsu: lens, offsets from the slide's centre, focal plane, light and focus; not labels, serials or codes.
NDPI = frozenset([65420, 65421, 65422, 65423, 65424, 65425, 65434, 65435, 65436, 65437, 65438, 65444, 65446, 65451])
NUMERIC_KINDS = frozenset([3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18])
MOST_NUMBERS = 64
#: Texts that say who, where, when or by what: searched for in what is written.
IDENTIFYING = (269, 285, 305, 306, 315, 316, 33432, 65427, 65442, 65449)
COMPRESSION_JPEG = frozenset([7])
COMPRESSION_JPEG2000 = frozenset([33003, 33004, 33005, 34712])
#: None, LZW, Deflate, PackBits, LZMA, Zstandard: codecs whose streams hold nothing but pixels.
COMPRESSION_PLAIN = frozenset([1, 5, 8, 32773, 32946, 34925, 50000])


def keeps_numbers(code: int, kind: int, count: int) -> bool:
    """Whether a tag may stay as it is."""
    if kind not in NUMERIC_KINDS:
        return False
    return code in ARRAYS or (code in IMAGE | NDPI and count <= MOST_NUMBERS)
