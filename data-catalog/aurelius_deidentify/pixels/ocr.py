"""OCR of pictures by the tesseract program; nothing is written to disk, nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from functools import cache

import numpy as np
from PIL import Image

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.pixels.rendering import Picture
from aurelius_deidentify.pixels.verdict import MaskRegion, Word

#: Small writing is enlarged, large images are not: (up to this many columns or rows, factors).
SCALES = ((160, (4.0,)), (400, (3.0, 2.0)), (700, (3.0, 1.5)), (1300, (2.0, 1.0)), (4000, (1.0, 0.5)))
HUGE = (0.5,)
#: A word is a line of text's smallest part: page segmentation mode 11 looks for it anywhere (`tesseract --help-psm`).
SPARSE = "11"
TOO_SLOW = "Looking for text took too long. A person must decide."


class Reader:
    """Looks for words within a time.

    Parameters
    ----------
    limit_s
        Seconds all looks together may take.

    Raises
    ------
    NotDeidentifiable
        If tesseract is not installed.
    """

    def __init__(self, limit_s: float) -> None:
        self.program = find_tesseract()
        self.ends = time.monotonic() + limit_s

    def read(self, picture: Picture, factors: tuple[float, ...]) -> list[list[Word]]:
        """Return the words seen, one list for each enlargement; the same word may be in several.

        Parameters
        ----------
        picture
            (rows, columns) uint8, grey values.
        factors
            Enlargements, one look each.

        Raises
        ------
        NotDeidentifiable
            If the time is over, or tesseract fails.
        """
        if int(picture.max()) == int(picture.min()):
            return []
        return [self._look(picture, factor) for factor in factors]

    def _look(self, picture: Picture, factor: float) -> list[Word]:
        rows, columns = picture.shape
        image = Image.fromarray(picture)
        if factor != 1.0:
            size = (max(round(columns * factor), 1), max(round(rows * factor), 1))
            image = image.resize(size, Image.Resampling.LANCZOS)
        table = self._run(b"P5 %d %d 255\n" % image.size + image.tobytes())
        return [word for line in table.splitlines() if (word := _parse(line, factor, columns, rows)) is not None]

    def _run(self, graymap: bytes) -> str:
        command = [self.program, "stdin", "stdout", "--psm", SPARSE, "--dpi", "150", "-l", "eng", "tsv"]
        # One thread: the intake's workers share the machine, and tesseract's threads mostly wait for each other.
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        left_s = max(self.ends - time.monotonic(), 0)
        try:
            done = subprocess.run(command, input=graymap, capture_output=True, env=environment, timeout=left_s)
        except subprocess.TimeoutExpired:
            raise NotDeidentifiable(TOO_SLOW) from None
        if done.returncode != 0:
            raise NotDeidentifiable("Looking for text failed: tesseract gave up. A person must decide.")
        return done.stdout.decode("utf-8", "replace")


@cache
def find_tesseract() -> str:
    """Return the path of the program.

    Raises
    ------
    NotDeidentifiable
        If it is not installed.
    """
    found = shutil.which("tesseract")
    if found is None:
        raise NotDeidentifiable(
            "Text in the pixels cannot be looked for: install tesseract (package tesseract-ocr), or decide yourself."
        )
    return found


def choose_factors(picture: Picture) -> tuple[float, ...]:
    """Return how much a picture is enlarged for each look."""
    longest = max(picture.shape)
    return next((factors for limit, factors in SCALES if longest <= limit), HUGE)


def blank(picture: Picture, regions: tuple[MaskRegion, ...]) -> Picture:
    """Return a copy of a picture, (rows, columns) uint8, whose regions hold its median, so that no edge is read."""
    copy = picture.copy()
    usual = np.uint8(np.median(picture))
    for region in regions:
        copy[region.y : region.bottom, region.x : region.right] = usual
    return copy


def _parse(line: str, factor: float, columns: int, rows: int) -> Word | None:
    """Return the word of one line of tesseract's table (level 5 is a word), or None."""
    fields = line.split("\t")
    if len(fields) < 12 or fields[0] != "5" or not fields[11].strip():
        return None
    left, top, width, height = (int(field) / factor for field in fields[6:10])
    x, y = min(max(int(left), 0), columns - 1), min(max(int(top), 0), rows - 1)
    right, bottom = min(int(left + width) + 1, columns), min(int(top + height) + 1, rows)
    return Word(fields[11].strip(), float(fields[10]), MaskRegion(x, y, max(right - x, 1), max(bottom - y, 1)))
