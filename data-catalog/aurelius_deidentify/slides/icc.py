"""ICC profiles without text: only the numbers that colours are computed by stay (ICC.1:2022 section 9)."""

from __future__ import annotations

#: Types that hold numbers only.
NUMERIC = frozenset(
    name.ljust(4).encode()
    for name in "XYZ curv para mft1 mft2 mAB mBA sf32 uf32 sig chrm view meas cicp".split()  # noqa: SIM905
)
#: In the header: date, maker and model of the device, profile's creator, profile id (a hash of what it was).
_HEADER_BLANKS = ((24, 36), (48, 56), (80, 100))


def clean_profile(profile: bytes) -> bytes | None:
    """Blank everything in a colour profile but what converts colours; the length stays.

    Returns
    -------
    bytes or None
        None if it cannot be taken apart: then it must go as a whole.
    """
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return None
    count = int.from_bytes(profile[128:132], "big")
    table_end = 132 + count * 12
    if count > 100 or table_end > len(profile):
        return None
    cleaned = bytearray(len(profile))
    cleaned[:table_end] = profile[:table_end]
    for start, end in _HEADER_BLANKS:
        cleaned[start:end] = bytes(end - start)
    for place in range(132, table_end, 12):
        at, size = (int.from_bytes(profile[place + step : place + step + 4], "big") for step in (4, 8))
        if at < table_end or at + size > len(profile) or size < 8:
            return None
        kept = size if profile[at : at + 4] in NUMERIC else 8
        cleaned[at : at + kept] = profile[at : at + kept]
    return bytes(cleaned)
