"""Attributes as found in a file, and what the actions on them may ask of the walk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

from aurelius_deidentify.header.context import Context
from aurelius_deidentify.header.profile import Rule


@dataclass(slots=True)
class Attribute:
    """One attribute as found in a file.

    Parameters
    ----------
    tag
        Its tag.
    VR
        Its value representation: the one found, or that of PS3.6 where none or UN was found.
    fits
        Whether PS3.6 allows the VR that was found.
    value
        Its bytes, little endian; of a sequence, its items.
    implicit
        Whether the items of a sequence have implicit VRs.
    rule
        What the profile says.
    mode
        How the walker looks at the data set or item it stands in.
    """

    tag: int
    VR: str
    fits: bool
    value: bytes
    implicit: bool
    rule: Rule
    mode: str


@dataclass(frozen=True)
class SequenceItems:
    """The items of a sequence as they will be written."""

    value: bytes
    fragments: list[dict[str, Any]]
    letters: str
    counts: Counter[tuple[str, str]]


class Walker(Protocol):
    """De-identifies the items of sequences, and records what is taken out."""

    context: Context

    def walk_items(self, attribute: Attribute, mode: str | None = None) -> SequenceItems:
        """De-identify the items of a sequence."""

    def map_uid(self, uid: str) -> str:
        """Return the new UID for an original one."""
