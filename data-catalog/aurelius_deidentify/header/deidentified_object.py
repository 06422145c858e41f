"""De-identified objects: the bytes to write, and the header an index needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from typing import Any

from pydicom import Dataset
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.header.elements import Found
from aurelius_deidentify.header.key_attributes import CHARACTER_SET
from aurelius_deidentify.header.outcome_cache import ElementOutcome
from aurelius_deidentify.header.part10 import Part10, find_meta, make_meta

Elements = dict[BaseTag, RawDataElement]
#: What a `StudySession` gives each `DeidentifiedObject`; nothing else may: the catalog lets in what carries it.
SEAL = object()


@dataclass(frozen=True)
class DeidentifiedObject:
    """A de-identified object, made by a `StudySession` and never by hand; its file is ``head + pixels + tail``.

    Parameters
    ----------
    head, tail
        The file before and behind the pixel data.
    pixels
        The pixel data element exactly as it came; empty if there is none, or if ``head`` holds it.
    header
        The de-identified header as DICOM JSON; values too long for an index are left out.
    pseudonym
        The patient's new name and number.
    PatientID, PatientName
        The original ones.
    actions
        How often each action was taken.
    seal
        Proof that a session made it.

    Raises
    ------
    NotDeidentifiable
        If it is made by hand.
    """

    head: bytes
    pixels: memoryview
    tail: bytes
    header: dict[str, Any]
    pseudonym: str
    PatientID: str
    PatientName: str
    actions: Mapping[str, int]
    _source: Part10 = field(repr=False)
    _found: list[Found] = field(repr=False)
    _before: list[ElementOutcome] = field(repr=False)
    _after: list[ElementOutcome] = field(repr=False)
    _encodings: Sequence[str] = field(repr=False)
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not SEAL:
            raise NotDeidentifiable("A de-identified object comes out of a study session: it cannot be made by hand.")

    @property
    def TransferSyntaxUID(self) -> str:
        """Of the file, before and after."""
        return self._source.syntax

    @cached_property
    def original(self) -> Dataset:
        """The identified header with file meta, without pixel data, decoded as it is asked."""
        data, implicit, elements = self._source.data, self._source.implicit, {}
        for (head, _, start, end, _), outcome in zip(self._found, self._before, strict=True):
            source = outcome.source
            if source is None:
                value = data[start:end]
                source = RawDataElement(head.base, head.VR or None, len(value), value, 0, implicit, True)
            elements[outcome.base] = source
        return _make_dataset(elements, make_meta(*self._source.meta), implicit, self._encodings)

    @cached_property
    def dataset(self) -> Dataset:
        """The de-identified header with file meta, without pixel data, decoded as it is asked."""
        elements = {outcome.base: outcome.element for outcome in self._after if outcome.element is not None}
        return _make_dataset(
            elements, make_meta(self.head, find_meta(self.head)[0]), self._source.implicit, self._encodings
        )

    def join(self) -> bytes:
        """Return the whole file."""
        return b"".join((self.head, self.pixels, self.tail))


def _make_dataset(elements: Elements, meta: FileMetaDataset, implicit: bool, encodings: Sequence[str]) -> Dataset:
    dataset = Dataset(elements)  # type: ignore[arg-type]
    dataset.file_meta = meta
    dataset.set_original_encoding(implicit, True, list(encodings) if CHARACTER_SET in elements else default_encoding)
    return dataset
