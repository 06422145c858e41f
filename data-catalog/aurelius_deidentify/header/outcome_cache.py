"""The outcomes of elements, remembered for the next file of the study that holds the same bytes."""

from __future__ import annotations

from typing import Any

from pydicom.dataelem import RawDataElement

from aurelius_deidentify.header.heads import Head

#: Longer values are de-identified anew each time; hashing them would cost more than it saves.
LONGEST_REMEMBERED = 4096
LONGEST_SEQUENCE_REMEMBERED = 65_536
#: Roughly what an outcome takes beside its values.
OUTCOME_BYTES = 1000
Counts = tuple[tuple[tuple[str, str], int], ...]


class ElementOutcome:
    """The outcome of de-identifying one element.

    Parameters
    ----------
    head
        Its tag and VR as found.
    letters
        The actions, of the element itself and of every element in it.
    output
        The bytes to write; empty if the element is removed.
    fragment
        The output in DICOM JSON; None if the element is removed or has no such form.
    element
        The output as pydicom has it; None if the element is removed.
    counts
        How often which action was taken on which tag; one each for ``letters``.
    """

    __slots__ = ("base", "counts", "element", "fragment", "key", "letters", "output", "source", "tag")

    def __init__(
        self,
        head: Head,
        letters: str,
        output: bytes = b"",
        fragment: dict[str, Any] | None = None,
        element: RawDataElement | None = None,
        counts: Counts = (),
    ) -> None:
        self.tag, self.base, self.key = head.tag, head.base, head.key
        self.letters, self.output, self.fragment, self.element = letters, output, fragment, element
        self.counts = counts or (((head.key, letters), 1),)
        #: The original as pydicom has it, where its value is remembered.
        self.source: RawDataElement | None = None


class OutcomeCache:
    """The outcomes of elements looked at in one way.

    Parameters
    ----------
    public
        By the bytes of the element.
    private
        By private creator, then by the bytes of the element, or by its head where the value does not matter.
    """

    __slots__ = ("private", "public", "size_bytes")

    def __init__(self) -> None:
        self.public: dict[bytes, ElementOutcome] = {}
        self.private: dict[str, dict[bytes | Head, ElementOutcome]] = {}
        self.size_bytes = 0

    def remember(
        self,
        known: dict[bytes | Head, ElementOutcome] | dict[bytes, ElementOutcome],
        raw: bytes,
        outcome: ElementOutcome,
    ) -> None:
        """Keep an outcome for the next element with these bytes, unless they are too many."""
        sequence = len(outcome.letters) > 1
        if len(raw) <= (LONGEST_SEQUENCE_REMEMBERED if sequence else LONGEST_REMEMBERED):
            known[raw] = outcome  # type: ignore[index]
            self.size_bytes += OUTCOME_BYTES + 2 * len(raw) + 300 * len(outcome.letters)
