"""Content negotiation: the forms of a response that a client accepts (PS3.18 sections 5.3, 8.3.3; RFC 9110 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, NamedTuple
from urllib.request import parse_http_list

from fastapi import Depends, Header, Query
from python_multipart.multipart import parse_options_header

from aurelius_catalog.errors import NotAcceptable

MULTIPART = "multipart/related"
ANY = "*/*"


@dataclass(frozen=True)
class MediaRange:
    """One form that a client accepts.

    Parameters
    ----------
    media_type
        Such as ``application/dicom``, ``image/*``, ``*/*``; of the parts, where several are accepted.
    multipart
        Whether as ``multipart/related``; None: either way.
    syntax
        UID of the transfer syntax asked for; ``*`` and nothing both mean: as it is stored.
    """

    media_type: str
    multipart: bool | None = None
    syntax: str = "*"

    def takes(self, media_type: str) -> bool:
        """Whether a media type lies within this range."""
        family = self.media_type.removesuffix("*")
        return self.media_type in (ANY, media_type) or (family.endswith("/") and media_type.startswith(family))


class Offer(NamedTuple):
    """One form in which a resource is offered; an image or a text has no transfer syntax."""

    media_type: str
    syntax: str = ""
    multipart: bool = False


def read_accepted(
    accept: Annotated[str | None, Query(description="Media types, for those who cannot send headers.")] = None,
    header: Annotated[str, Header(alias="accept")] = ANY,
) -> list[MediaRange]:
    """FastAPI dependency: what the client accepts, the most wanted first."""
    ranges = [_read_range(text) for text in parse_http_list((accept or header)[:4096] or ANY)]
    # Sorting is stable: of equally wanted ones the first comes first, as most clients mean it.
    return [each for quality, each in sorted(ranges, key=lambda pair: -pair[0]) if quality > 0]


Accepted = Annotated[list[MediaRange], Depends(read_accepted)]


def _read_range(text: str) -> tuple[float, MediaRange]:
    name, options = parse_options_header(text.encode("utf-8", "replace"))
    given = {key.decode("latin-1"): value.decode("latin-1").strip() for key, value in options.items()}
    quality, media_type = 1.0, name.decode("latin-1")
    with suppress(ValueError):
        quality = float(given.get("q", "1"))
    syntax = given.get("transfer-syntax") or "*"
    if media_type in (MULTIPART, "multipart/*"):
        return quality, MediaRange(given.get("type", ANY).lower(), True, syntax)
    return quality, MediaRange(media_type, None if media_type == ANY else False, syntax)


def choose_offer(ranges: Sequence[MediaRange], offers: Sequence[Offer]) -> Offer:
    """Return the offer the client wants most.

    Parameters
    ----------
    ranges
        The forms it accepts, the most wanted first.
    offers
        The forms on offer, the best first; for ``*`` as transfer syntax the first that fits is taken.

    Raises
    ------
    NotAcceptable
        If there is nothing the client accepts.
    """
    for wanted in ranges:
        for offer in offers:
            if (
                wanted.takes(offer.media_type)
                and wanted.multipart in (None, offer.multipart)
                and (not offer.syntax or wanted.syntax in ("*", offer.syntax))
            ):
                return offer
    raise NotAcceptable(f"This can be had as {', '.join(dict.fromkeys(map(_spell, offers)))}; the request wants none.")


def _spell(offer: Offer) -> str:
    kind = f'{MULTIPART}; type="{offer.media_type}"' if offer.multipart else offer.media_type
    return f"{kind}; transfer-syntax={offer.syntax}" if offer.syntax else kind
