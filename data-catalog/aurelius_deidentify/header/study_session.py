"""Sessions: the Part 10 files of one study, de-identified in memory one after the other."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from io import BytesIO
from operator import attrgetter

from pydicom import Dataset, FileDataset

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.header.deidentified_object import SEAL, DeidentifiedObject
from aurelius_deidentify.header.elements import PIXELS, scan_elements
from aurelius_deidentify.header.key_attributes import SOP_CLASS, SOP_INSTANCE
from aurelius_deidentify.header.object_contexts import ObjectContexts
from aurelius_deidentify.header.outcome_cache import ElementOutcome
from aurelius_deidentify.header.part10 import (
    DAMAGED,
    Part10,
    deflate,
    open_part10,
    read_identified,
    translate,
    write_encoded,
    write_meta,
)
from aurelius_deidentify.header.profile import Profile
from aurelius_deidentify.header.pseudonyms import PseudonymKey

#: After so many files the counts of uses are summed up, so that outcomes no longer cached can be freed.
FILES_BETWEEN_SUMS = 64
_by_tag = attrgetter("tag")


class StudySession:
    """The objects of one study, one after the other.

    Outcomes are remembered by the bytes of an element and what else they depend on, within a bound of memory; what is
    remembered changes the time, never the output.

    Parameters
    ----------
    key, site, profile
        As of the `Deidentifier`.
    """

    def __init__(self, key: PseudonymKey, site: str, profile: Profile) -> None:
        #: Every original identifying value that was taken out so far, in small letters.
        self.identifiers: set[str] = set()
        #: Every original UID met so far, with its new one.
        self.uids: dict[str, str] = {}
        self._touched: Counter[tuple[str, str]] = Counter()
        self._uses: Counter[ElementOutcome] = Counter()
        self._rewrites = 0
        self._contexts = ObjectContexts(key, site, profile, self.identifiers, self.uids)

    @property
    def touched(self) -> Counter[tuple[str, str]]:
        """How often each action was taken on each tag (eight hexadecimal digits), at any depth."""
        self._sum_up()
        return +self._touched

    def rewrite(self, source: bytes) -> DeidentifiedObject:
        """Return the de-identified version of a Part 10 file.

        Raises
        ------
        NotDeidentifiable
            If the file cannot be read or written with certainty. The message holds no value of the file.
        """
        self._rewrites += 1
        if not self._rewrites % FILES_BETWEEN_SUMS:
            self._sum_up()
            self._contexts.forget_much()
        try:
            return self._rewrite(open_part10(source))
        except NotDeidentifiable:
            raise
        except Exception:  # what the scanner does not understand, pydicom judges
            with _no_quotes():
                return self._rewrite_read(read_identified(BytesIO(source)))

    def take_back(self, rewritten: DeidentifiedObject) -> None:
        """Leave an object out of `touched` that is not given away after all; its UIDs and identifiers stay known."""
        self._uses.subtract(rewritten._before)

    def rewrite_dataset(self, dataset: FileDataset) -> Dataset:
        """Return the de-identified version of an object that pydicom read, pixel data included; see `rewrite`."""
        with _no_quotes():
            part10, pixels = translate(dataset)
            result = self._rewrite(part10).dataset
            if pixels is not None:
                result[pixels.tag] = pixels
            return result

    def _sum_up(self) -> None:
        for outcome, uses in self._uses.items():
            for pair, number in outcome.counts:
                self._touched[pair] += number * uses
        self._uses.clear()

    def _rewrite_read(self, dataset: FileDataset) -> DeidentifiedObject:
        """Rewrite what the hot path does not understand: pydicom reads it, and writes it again."""
        part10, pixels = translate(dataset)
        rewritten = self._rewrite(part10)
        result = copy(rewritten.dataset)
        if pixels is not None:
            result[pixels.tag] = pixels
        head = write_encoded(result, *dataset.original_encoding)
        return replace(rewritten, seal=SEAL, head=head, pixels=memoryview(b""), tail=b"")

    def _rewrite(self, source: Part10) -> DeidentifiedObject:
        data = source.data
        found, _ = scan_elements(data, source.start, len(data), source.implicit)
        pixels = next((one for one in reversed(found) if one[0].tag in PIXELS), None)
        if pixels is not None:
            found = [one for one in found if one[0].tag not in PIXELS]
        context = self._contexts.find(data, found, source.implicit)
        before = context.walker.walk_elements(data, found, "walk", source.implicit)
        self._uses.update(before)
        method_tags = context.method_tags
        after = [outcome for outcome in before if outcome.element is not None and outcome.tag not in method_tags]
        after += context.method_attributes
        after.sort(key=_by_tag)
        split = len(after)
        while pixels is not None and split and after[split - 1].tag > pixels[0].tag:
            split -= 1
        head = b"".join([outcome.output for outcome in after[:split]])
        tail = b"".join([outcome.output for outcome in after[split:]])
        meta = write_meta(_get(after, SOP_CLASS), _get(after, SOP_INSTANCE), source.syntax)
        body = memoryview(b"") if pixels is None else memoryview(data)[pixels[1] : pixels[4]]
        if source.deflated:
            head, body, tail = deflate(b"".join((head, body, tail))), memoryview(b""), b""
        return DeidentifiedObject(
            meta + head,
            body,
            tail,
            {outcome.key: outcome.fragment for outcome in after if outcome.fragment is not None},
            context.walker.context.pseudonym,
            context.PatientID,
            context.PatientName,
            Counter("".join([outcome.letters for outcome in before])),
            source,
            found,
            before,
            after,
            context.walker.context.encodings,
            SEAL,
        )


def _get(outcomes: list[ElementOutcome], tag: int) -> bytes:
    """Return the new value of an attribute that every object has."""
    for outcome in outcomes:
        if outcome.tag == tag and outcome.element is not None:
            return outcome.element.value or b""
    raise NotDeidentifiable("The object lacks a UID, or it is no UID.")


@contextmanager
def _no_quotes() -> Iterator[None]:
    """Keep pydicom from quoting values: drop its warnings, and report only the kind of an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except NotDeidentifiable:
        raise
    except Exception as error:  # an OSError too: the file is in memory, so pydicom means a damaged one
        raise NotDeidentifiable(DAMAGED.format(type(error).__name__)) from None
