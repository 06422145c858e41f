"""The search for words in the pictures of one object, by OCR in several sizes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from aurelius_deidentify.pixels.ink import extend_words, is_drawn
from aurelius_deidentify.pixels.ocr import Reader, choose_factors
from aurelius_deidentify.pixels.rendering import Picture, raise_ink
from aurelius_deidentify.pixels.verdict import Word
from aurelius_deidentify.pixels.words import choose_words


@dataclass(frozen=True)
class TextSearch:
    """How words are looked for in the pictures of one object.

    Parameters
    ----------
    reader
        The OCR program, with its time limit.
    identifiers
        The patient's own values.
    measured
        Whether the pixels are measured values: then what the reader makes of tissue must not be blacked out.
    """

    reader: Reader
    identifiers: Collection[str]
    measured: bool

    def find_words(self, views: list[Picture], *, again: bool = False) -> list[Word]:
        """Return the words in any of the pictures, each place once.

        The first picture is looked at in two sizes, the others, and a picture seen ``again``, in the larger one.
        """
        words: list[Word] = []
        for number, view in enumerate(views):
            larger, *smaller = choose_factors(view)
            factors = (larger,) if again or number else (larger, *smaller)
            looks = self.reader.read(view, factors)
            if number == 0:  # over tissue, writing is read when the tissue is taken away; screens write in bright ink
                raised = raise_ink(view) if self.measured else raise_ink(view)[:1]
                looks += [look for ink in raised for look in self.reader.read(ink, (larger,))]
            words += choose_words(looks, self.identifiers, partial(is_drawn, picture=view, measured=self.measured))
        words = extend_words(words, views[:2])
        return list({word.region: word for word in sorted(words, key=lambda word: word.confidence)}.values())
