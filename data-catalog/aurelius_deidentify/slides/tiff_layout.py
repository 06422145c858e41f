"""The layout of TIFF directories and their entries: classic, BigTIFF and Hamamatsu's NDPI."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TiffLayout:
    """How numbers are written in one file."""

    order: str
    big: bool
    ndpi: bool

    @property
    def count_size(self) -> int:
        """Bytes of the number of entries of a directory."""
        return 8 if self.big else 2

    @property
    def entry_size(self) -> int:
        """Bytes of one entry."""
        return 20 if self.big else 12

    @property
    def inline_size(self) -> int:
        """Bytes a value may have to stand in its entry."""
        return 8 if self.big else 4

    @property
    def pointer_size(self) -> int:
        """Bytes of the pointer to the next directory."""
        return 8 if self.big or self.ndpi else 4

    def pack(self, number: int, size: int) -> bytes:
        """Write a number in ``size`` bytes."""
        return number.to_bytes(size, "little" if self.order == "<" else "big")

    def unpack(self, data: bytes) -> int:
        """Read a number."""
        return int.from_bytes(data, "little" if self.order == "<" else "big")


@dataclass(frozen=True)
class Entry:
    """One tag of a directory: its value lies at ``at``, ``size`` bytes long; ``raw`` is the entry as it stands."""

    code: int
    kind: int
    count: int
    at: int
    size: int
    inline: bool
    raw: bytes
    high: bytes


@dataclass
class Directory:
    """One image file directory (IFD)."""

    at: int
    end: int
    next_at: int
    entries: dict[int, Entry]
    children: list[Directory] = field(default_factory=list)
