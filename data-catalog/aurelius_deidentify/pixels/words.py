"""Words in pictures: which strings of the OCR are words, what they cover, and whether they are the patient's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from aurelius_deidentify.pixels.verdict import MaskRegion, Word

#: (least confidence, least letters and digits) of what is believed at one look.
BELIEVED = ((60.0, 3), (80.0, 2))
#: ... and of what is believed because two looks saw something at the same place.
CONFIRMED = (35.0, 2)
#: What stands this close to a word, in its own heights, belongs to the line, however badly it was read.
NEIGHBOUR_HEIGHTS = 1.6
#: Letters tesseract takes for one another.
CONFUSED = str.maketrans("0158$&i|!", "olssssll" + "l")
SIMILAR = 0.8
#: UIDs and whole paragraphs are not drawn into images.
UID, LONGEST_WRITTEN = re.compile(r"\d+(\.\d+){3,}"), 64
PADDING_HEIGHTS = 0.3


def choose_words(
    looks: Sequence[Sequence[Word]], identifiers: Collection[str], is_ink: Callable[[Word], bool]
) -> list[Word]:
    """Return what is taken for words: drawn, and seen clearly or twice; the patient's own; and what is next to these.

    Parameters
    ----------
    looks
        What the reader saw, each time it looked.
    identifiers
        The patient's values.
    is_ink
        Says of a word whether it was drawn, or is only what the reader makes of tissue.
    """
    seen = [(index, word) for index, look in enumerate(looks) for word in look]
    own = IdentifierMatcher(identifiers)
    chosen = [
        word
        for index, word in seen
        if own.matches(word.text)
        or ((_is_clear(word) or _is_confirmed(word, (other for at, other in seen if at != index))) and is_ink(word))
    ]
    rest = [word for _, word in seen if word not in chosen and count_letters(word.text) >= 1 and is_ink(word)]
    grown = True
    while grown:
        joined = [word for word in rest if any(_are_neighbours(word, other) for other in chosen)]
        chosen += joined
        rest = [word for word in rest if word not in joined]
        grown = bool(joined)
    return chosen


def cover_words(words: Iterable[Word], columns: int, rows: int) -> tuple[MaskRegion, ...]:
    """Return padded regions that hold all the words; those that touch on one line become one."""
    padded = [word.region.pad(2 + round(word.region.height * PADDING_HEIGHTS), columns, rows) for word in words]
    return join_regions(padded)


def join_regions(regions: Iterable[MaskRegion]) -> tuple[MaskRegion, ...]:
    """Join regions that touch and lie on one line, and drop those within others."""
    joined: list[MaskRegion] = []
    for region in sorted(regions, key=lambda region: (region.y, region.x)):
        current = region
        while (
            mate := next((other for other in joined if other.meets(current) and _on_one_line(other, current)), None)
        ) is not None:
            joined.remove(mate)
            current = current.join(mate)
        joined.append(current)
    kept = [region for region in joined if not any(other != region and other.covers(region) for other in joined)]
    return tuple(sorted(kept, key=lambda region: (region.y, region.x)))


def count_letters(text: str) -> int:
    """Return how many letters and digits a text has."""
    return sum(character.isalnum() for character in text)


@dataclass(frozen=True)
class IdentifierMatcher:
    """The patient's identifying values, recognised in words that OCR read badly."""

    values: Collection[str]

    def matches(self, text: str) -> bool:
        """Whether a word as read is one of the patient's values, or nearly."""
        word = _simplify(text)
        return len(word) >= 3 and any(_resembles(word, value) for value in self._simplified)

    @cached_property
    def _simplified(self) -> list[str]:
        written = [value for value in self.values if len(value) <= LONGEST_WRITTEN and not UID.fullmatch(value)]
        parts = {part for value in written for part in re.split(r"[\^=\s,;/]+", value)} | set(written)
        dates = {form for part in parts if re.fullmatch(r"\d{8}", part) for form in _write_date(part)}
        return [simple for simple in map(_simplify, parts | dates) if len(simple) >= 3]


def _write_date(date: str) -> list[str]:
    year, month, day = date[:4], date[4:6], date[6:]
    return [day + month + year, month + day + year, day + month + year[2:], month + day + year[2:]]


def _simplify(text: str) -> str:
    return "".join(character for character in text.casefold().translate(CONFUSED) if character.isalnum())


def _resembles(word: str, value: str) -> bool:
    if word == value or (len(value) >= 4 and value in word):
        return True
    if len(value) < 5 or len(word) < 4 or 2 * min(len(word), len(value)) < SIMILAR * (len(word) + len(value)):
        return False
    return SequenceMatcher(None, word, value).ratio() >= SIMILAR


def _is_clear(word: Word) -> bool:
    letters = count_letters(word.text)
    return any(word.confidence >= confidence and letters >= least for confidence, least in BELIEVED)


def _is_confirmed(word: Word, others: Iterable[Word]) -> bool:
    confidence, least = CONFIRMED
    if word.confidence < confidence or count_letters(word.text) < least:
        return False
    return any(
        other.confidence >= confidence
        and count_letters(other.text) >= least
        and SequenceMatcher(None, _simplify(word.text), _simplify(other.text)).ratio() >= SIMILAR
        and other.region.meets(word.region)
        for other in others
    )


def _are_neighbours(word: Word, other: Word) -> bool:
    one, two = word.region, other.region
    if not _on_one_line(one, two) or one.height > 2 * two.height:
        return False
    gap = max(one.x - two.right, two.x - one.right)
    return gap <= NEIGHBOUR_HEIGHTS * min(one.height, two.height)


def _on_one_line(one: MaskRegion, two: MaskRegion) -> bool:
    shared = min(one.bottom, two.bottom) - max(one.y, two.y)
    return shared >= 0.5 * min(one.height, two.height)
