"""Ink: the sharp strokes that tell drawn text from tissue, and how far a line of them reaches."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aurelius_deidentify.pixels.rendering import Picture
from aurelius_deidentify.pixels.verdict import MaskRegion, Word
from aurelius_deidentify.pixels.words import count_letters

#: Only from what is surely a word; from noise a mask would run across the image.
SURE_CONFIDENCE, SURE_LETTERS = 75.0, 3
#: A gap between words, and the longest line to either side, in heights of the word.
GAP_HEIGHTS, LONGEST_HEIGHTS = 1.3, 40.0
#: Ink has edges of this part of the word's own edges, and at least of so many grey values.
EDGE_PART, EDGE_LEAST = 0.5, 16.0


#: Drawn text has two values, ink and ground; tissue has all between. Shares of a word's box near its extremes.
NEAR_PART, LEAST_INK, PLAIN_CONFIDENCE = 0.1, 0.18, 85.0
#: Compression blurs ink, so a screen's text may have more between than what was drawn into measured values.
MOST_BETWEEN, MOST_BETWEEN_MEASURED = 0.75, 0.6
#: Two letters are easily seen in anything.
LEAST_INK_SHORT, MOST_BETWEEN_SHORT = 0.22, 0.5


def is_drawn(word: Word, picture: Picture, measured: bool) -> bool:
    """Whether a word has been drawn, and is not read out of tissue; a word read without doubt has.

    Parameters
    ----------
    word
        As read.
    picture
        (rows, columns) uint8, grey values.
    measured
        Whether the pixels are measured values, not a screen.
    """
    if word.confidence >= PLAIN_CONFIDENCE and count_letters(word.text) >= SURE_LETTERS:
        return True
    region = word.region
    box = picture[region.y : region.bottom, region.x : region.right].astype(np.int16)
    near = NEAR_PART * (int(box.max()) - int(box.min()))
    bright, dark = float((box >= box.max() - near).mean()), float((box <= box.min() + near).mean())
    if count_letters(word.text) < SURE_LETTERS:
        return bright >= LEAST_INK_SHORT or 1 - bright - dark <= MOST_BETWEEN_SHORT
    return bright >= LEAST_INK or 1 - bright - dark <= (MOST_BETWEEN_MEASURED if measured else MOST_BETWEEN)


def extend_words(words: Iterable[Word], views: Iterable[Picture]) -> list[Word]:
    """Return the words, those surely read extended to both sides over the ink beside them.

    Parameters
    ----------
    words
        As read.
    views
        Pictures of the same image, (rows, columns) uint8 each.
    """
    pictures = list(views)
    extended = []
    for word in words:
        region = word.region
        if word.confidence >= SURE_CONFIDENCE and count_letters(word.text) >= SURE_LETTERS:
            for picture in pictures:
                region = region.join(_extend(word.region, picture))
        extended.append(Word(word.text, word.confidence, region))
    return extended


def _extend(region: MaskRegion, picture: Picture) -> MaskRegion:
    band = picture[region.y : region.bottom].astype(np.int16)
    steps = np.abs(np.diff(band, axis=1))
    steps = np.partition(steps, -2, axis=0)[-2] if len(steps) > 1 else steps[0]  # one speck is no ink
    own = steps[region.x : region.right - 1]
    level = EDGE_PART * float(np.percentile(own, 80)) if own.size else 0.0
    if level < EDGE_LEAST:
        return region
    ink = steps >= level
    gap, longest = round(GAP_HEIGHTS * region.height) + 1, round(LONGEST_HEIGHTS * region.height)
    right = region.right + _reach(ink[region.right :], gap, longest)
    left = region.x - _reach(ink[: region.x][::-1], gap, longest)
    return MaskRegion(left, region.y, right - left, region.height)


def _reach(ink: NDArray[np.bool_], gap: int, longest: int) -> int:
    """Return how far ink goes on from the beginning, over no gap wider than ``gap``."""
    reached = 0
    while reached < longest:
        found = np.flatnonzero(ink[reached : reached + gap])
        if not len(found):
            break
        reached += int(found[-1]) + 1
    return min(reached, longest)
