"""The Clean Descriptors Option (PS3.15 section E.3.6): of free text, only medical and technical words are kept.

A word is kept because a list or a pattern knows it (`aurelius_deidentify.header.vocabulary`), never because nothing
speaks against it. Order and punctuation stay.
"""

from __future__ import annotations

import re
from collections.abc import Container

from aurelius_deidentify.data_files import read_words
from aurelius_deidentify.header.vocabulary import Vocabulary, load_vocabulary

MONTHS = (
    "jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|f[ée]v(?:rier)?|mar(?:ch|s|zo)?|m[äa]e?rz|apr(?:il)?|avr(?:il)?|may|mai|mayo|"
    "june?|juni|juin|july?|juli|juillet|aug(?:ust)?|ao[uû]t|sept?(?:ember|embre)?|o[ck]t(?:ober|obre)?|nov(?:ember|embre)?|"
    "de[cz](?:ember|embre)?|d[ée]c(?:embre)?"
)
#: Dates and times as people write them; eight digits in a row fall to the rule about long numbers.
MOMENT = re.compile(
    rf"""(?<![^\W_])(?:
        \d{{4}}[-./]\d{{1,2}}[-./]\d{{1,2}}(?:T[\d:.]+)?
      | \d{{1,2}}[-./]\d{{1,2}}[-./](?:\d{{4}}|\d{{2}})
      | \d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,]\d+)?)?(?:\s?[ap]\.?m\.?)?
      | \d{{1,2}}(?:st|nd|rd|th)?[-.\s]*(?:{MONTHS})\.?(?:[-,.\s]*\d{{2,4}})?
      | (?:{MONTHS})\.?[-,.\s]*\d{{1,4}}(?:[-,.\s]+\d{{4}})?
    )(?![^\W_])""",
    re.VERBOSE | re.IGNORECASE,
)
#: Where a chunk between spaces is taken apart; a decimal point or comma inside a number is no border.
BORDER = re.compile(r"(?:(?<!\d)[.,]|[.,](?!\d)|[-^_/\\|;:()\[\]{}<>=\"&+*#@!?'’~`°·•])+")
PARTS = re.compile(r"\d+(?:[.,]\d+)?(?:[a-z]{1,3}(?![a-z]))?%?|[A-ZÀ-Þ]?[^\W\d_A-ZÀ-Þ]+|[A-ZÀ-Þ]+(?![a-zß-ÿ])")
LONG_NUMBER = re.compile(
    r"\d{5,}|(?<![\d.,])(?:19[3-9]\d|200[1-9]|20[1-3]\d)(?![\d.,x×*])|[A-Za-z]\d{4,}|\d{4,}[A-Za-z]{2,}\d"
)
POSSESSIVE = re.compile(r"([^\W\d_]{2})['’]s\b")
B_VALUE = re.compile(r"b[-=]?\d{3,4}", re.IGNORECASE)
#: Words before a name: the next words are one, whatever else they may mean.
TITLES = read_words(__package__, "words_titles.txt")
#: Words that mean nothing at the edge of a text.
CONNECTORS = read_words(__package__, "words_connectors.txt")
MOST_ROUNDS = 10
EDGES = " \t\r\n^_,;:/\\|=&+-.#@~`'\"’<>{}"


def clean_text(text: str, identifiers: Container[str]) -> str:
    """Return what of a text is understood as medical or technical.

    Parameters
    ----------
    text
        One value of a descriptor.
    identifiers
        This patient's identifying values, in small letters, as `header.identifiers.identifying_values` yields them. A
        word that is one of them is removed, however medical it is.

    Returns
    -------
    str
        Empty if nothing is left. Dates, times, years, numbers of five digits and more, and unknown words are never
        in it.
    """
    for _ in range(MOST_ROUNDS):  # what a word's going lets come together is looked at again
        cleaned = _clean_once(text, identifiers)
        if cleaned == text:
            return cleaned
        text = cleaned
    return ""


def _clean_once(text: str, identifiers: Container[str]) -> str:
    reader = _Reader(identifiers)
    chunks = re.split(r"(\s+)", MOMENT.sub(" ", POSSESSIVE.sub(r"\1", text)))
    return _tidy("".join(piece for piece in map(reader.read_chunk, chunks) if piece))


class _Reader:
    """Reads the chunks of one text in order, because the words before a name give it away."""

    def __init__(self, identifiers: Container[str]) -> None:
        self.identifiers = identifiers
        self.vocabulary: Vocabulary = load_vocabulary()
        self.names = read_words(__package__, "words_names.txt")
        self.expecting_name = 0
        self.after_unknown = False

    def read_chunk(self, chunk: str) -> str:
        """Return what is kept of the text between two spaces; spaces as they are."""
        if not chunk or chunk.isspace():
            return chunk
        core = chunk.strip(EDGES + "()[]!?")
        if self._is_understood_whole(core):
            self.after_unknown = False
            return chunk
        kept, start = "", 0
        for border in (*BORDER.finditer(chunk), None):
            token = chunk[start : border.start() if border else len(chunk)]
            if token:
                kept += token if self._keep(token) else " "
            if border:
                kept += border.group()
                start = border.end()
        return kept

    def _is_understood_whole(self, core: str) -> bool:
        """Whether a chunk is a pattern of its own, as ``w/o``, ``5/5mm`` or ``T2*`` are."""
        if not core or self._identifies(core) or self.expecting_name or BORDER.search(core) is None:
            return False
        if any(self._identifies(token) or self._is_numeric_leak(token) for token in BORDER.split(core) if token):
            return False
        return self.vocabulary.understands_token(core)

    def _keep(self, token: str) -> bool:
        small = token.casefold()
        if self._identifies(token) or self._is_numeric_leak(token):
            self.after_unknown = token.isalpha()
            return False
        if self.expecting_name and token[0].isupper():
            self.expecting_name -= 1
            return False
        self.expecting_name = 2 if small in TITLES else 0
        if small in self.names and self.after_unknown:
            return False
        understood = self._is_understood(token)
        self.after_unknown = token.isalpha() and not understood
        return understood and not self.expecting_name

    def _is_understood(self, token: str) -> bool:
        if self.vocabulary.understands_token(token):
            return True
        parts = PARTS.findall(token)
        if len(parts) < 2 or "".join(parts) != token:
            return False
        return not any(self._identifies(part) for part in parts) and all(
            (len(part) > 1 or part.isdigit()) and self.vocabulary.understands_token(part) for part in parts
        )

    def _identifies(self, token: str) -> bool:
        return token.casefold() in self.identifiers or token.lower() in self.identifiers

    @staticmethod
    def _is_numeric_leak(token: str) -> bool:
        return LONG_NUMBER.search(token) is not None and B_VALUE.fullmatch(token) is None


def _tidy(kept: str) -> str:
    """Close the gaps that words left: no empty brackets, no doubled separators, no connector that connects nothing."""
    before = None
    while before != kept:
        before = kept
        kept = re.sub(r"\(\s*\)|\[\s*\]|\{\s*\}|<\s*>|\"\s*\"", " ", kept)
        kept = re.sub(r"(?<=[-^_/\\|;:=&+,.]) +(?=[-^_/\\|;:=&+,.])", "", kept)
        kept = re.sub(r"([,;:.]) *[-^_/\\|=&]+", r"\1 ", kept)
        kept = re.sub(r"([-^_/\\|;:=&])[-^_/\\|;:=&,.]+", r"\1", kept)
        kept = re.sub(r" {2,}", " ", kept).strip(EDGES)
        first, _, rest = kept.partition(" ")
        if first.casefold() in CONNECTORS and len(first) > 1:
            kept = rest
        head, _, last = kept.rpartition(" ")
        if last.casefold() in CONNECTORS and len(last) > 1:
            kept = head
    if kept.count("(") != kept.count(")"):
        kept = kept.replace("(", " ").replace(")", " ").strip()
    return kept if any(sign.isalnum() for sign in kept) else ""
