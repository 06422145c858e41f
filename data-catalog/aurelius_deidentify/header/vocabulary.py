"""The vocabulary of medicine and imaging: words, and patterns of words with numbers.

Three files hold it. ``words_codes.txt`` was derived from the meanings of the codes DICOM refers to and from the names
of its attributes (`derive_words`); ``words_imaging.txt`` was written by hand; ``words_names.txt`` lists names of
people, which a code's meaning does not make medical.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from aurelius_deidentify.data_files import read_words

#: Numbers with units, MR weightings, kernels, b-values, vertebrae, ratios: understood though no list holds them.
PATTERN = re.compile(
    r"""
      [+-]?\d{1,4}(?:[.,]\d{1,4})?                                            # a number of up to four digits
      (?:mm|cm|um|µm|m|mm2|mm3|s|sec|secs|ms|us|min|mins|h|hr|hrs|hz|khz|mhz|ghz|deg|°|kv|kvp|kev|mv|mev|mas|ma|ml|cc|l|
         mg|ug|kg|g|mci|mbq|kbq|mgy|cgy|gy|hu|t|tesla|x|d|y|yr|yrs|w|wk|wks|mo|k|p|%|px|bit|
         st|nd|rd|th|pc|fps|bpm|mph|f|s|i|sl|slc|dir|dirs|ch|echo|phase|phases|views?|segments?|level)?
    | \d{1,4}(?:[.,]\d{1,3})?[x×*/]\d{1,4}(?:[.,]\d{1,3})?(?:[x×*/]\d{1,4}(?:[.,]\d{1,3})?)?(?:mm|cm)?  # 5/5mm
    | \d{1,4}(?:,\d{1,4}){2,}                                                  # a list of numbers
    | [ctls]\d{1,2}                                                           # vertebrae
    | (?:t[12]\w{0,3}|pd|te|tr|ti|b|fa|bh|ph|mb|grappa|sense|nex|etl|p|s|i|r|l|a|h|f|v|iso|rr|ed|es|fov|e|k|sl|st|tp|fc|
         echo|seg|phase|run|rest|task|part|dyn|vol|series|scan|image|view|pf|sms|roi|roi-|plan|field|beam|segment)-?\d{1,4}
    | \d[a-z]{1,2}\d?                                                         # 2d, 3dt1, 18f
    | [bhiujtd]\d{2}[fhsu]                                                    # Siemens kernels
    | (?:br|bf|bl|bv|qr|hr|hf|hk|hn|sa|sb|sc|ua|ub|uc|fl)\d{2,3}[a-z]?
    | (?:[ivx]{1,4}|[a-z])                                                    # Roman numbers, single letters
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Vocabulary:
    """The words that are understood, in small letters."""

    words: frozenset[str]

    def understands(self, word: str) -> bool:
        """Whether a word (no spaces) is medical or technical."""
        small = word.casefold()
        return small in self.words or (len(small) > 4 and small.endswith("s") and small[:-1] in self.words)

    def understands_token(self, token: str) -> bool:
        """Whether a word, or a pattern of letters and digits, is medical or technical."""
        return self.understands(token) or PATTERN.fullmatch(token) is not None


@cache
def load_vocabulary() -> Vocabulary:
    """Load the packaged words."""
    named = read_words(__package__, "words_names.txt")
    return Vocabulary(
        (read_words(__package__, "words_codes.txt") - named) | read_words(__package__, "words_imaging.txt")
    )


def derive_words() -> frozenset[str]:
    """Collect the words of three letters and more of the codes and attributes pydicom knows; makes ``words_codes.txt``.

    Breeds, registries and projections called after people are left out: they are names.
    """
    from pydicom._dicom_dict import DicomDictionary
    from pydicom.sr._concepts_dict import concepts

    left_out = {4012, 7480, 7481, 7486, 7490}
    meanings = [row[2] for row in DicomDictionary.values()]
    for codes in cast(dict[str, Any], concepts).values():
        for rows in codes.values():
            meanings += [meaning for meaning, contexts in rows.values() if not left_out.intersection(contexts)]
    words = {word.casefold() for meaning in meanings for word in re.findall(r"[^\W\d_]{3,}(?!['’]s)", meaning)}
    return frozenset(words)
