"""The clinics the house is connected to over a network: who may call, who may send, where to pull from.

``home/sites.toml`` has one table per site, named as the site's inbox is::

    [north]
    called_ae = "NORTH"            # C-STORE: the AE title that callers call to reach this site
    callers = ["CT1", "PACS"]      # AE titles that may call; all others are refused
    senders = ["north-gateway"]    # STOW-RS: hub users who may send to this site, beside the stewards
    pull = "http://127.0.0.1:8042/dicom-web"      # the DICOMweb server `aurelius intake pull` asks
    pull_secret = "identified/north.secret"       # file with user:password, or with one token; mode 0600
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from aurelius_catalog.errors import InvalidSites
from aurelius_intake.zone.folders import SITE_NAME

#: PS3.5 table 6.2-1: up to 16 characters of the default repertoire, no backslash; spaces at the ends do not count.
AE_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")


def _check_title(title: str) -> str:
    if not AE_TITLE.fullmatch(title):
        raise ValueError("an AE title has 1 to 16 plain characters, without a backslash or outer spaces")
    return title


def _check_address(address: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@?#]+(?:/[^\s?#]*)?", address):
        raise ValueError("give the server's http(s) address without user, password or query")
    return address.rstrip("/")


Title = Annotated[str, AfterValidator(_check_title)]


class Site(BaseModel):
    """How one site is reached and reaches us.

    Parameters
    ----------
    called_ae, callers
        The AE title that stands for the site, and who may call it.
    senders
        Hub users who may send by STOW-RS.
    pull, pull_secret
        Address of the DICOMweb server to pull from, and the file with what it wants to see; relative to ``home``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    called_ae: Title | None = None
    callers: frozenset[Title] = frozenset()
    senders: frozenset[str] = frozenset()
    pull: Annotated[str, AfterValidator(_check_address)] | None = None
    pull_secret: Path | None = None


def read_sites(file: Path) -> dict[str, Site]:
    """Read the sites by name; none where there is no file, so that nobody may call.

    Raises
    ------
    InvalidSites
        If the file cannot be read or says something impossible.
    """
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidSites(f"{file.name} cannot be read: {why}.") from None
    sites = {name: _read_site(file.name, name, table) for name, table in tables.items()}
    _check_together(file.name, sites)
    return sites


def _read_site(file: str, name: str, table: object) -> Site:
    if not SITE_NAME.fullmatch(name):
        raise InvalidSites(f"{file}: {name!r} is no site: use small letters, digits and hyphens, as in 'north'.")
    try:
        site = Site.model_validate(table)
    except ValidationError as error:
        place = ".".join([name, *(str(part) for part in error.errors()[0]["loc"])])
        raise InvalidSites(f"{file}: {place}: {error.errors()[0]['msg']}.") from None
    if bool(site.called_ae) != bool(site.callers):
        raise InvalidSites(f"{file}: {name}: give both called_ae and callers, or neither: who may call which title?")
    if site.pull_secret is not None and site.pull is None:
        raise InvalidSites(f"{file}: {name}: there is a pull_secret but no pull: which server is it for?")
    return site


def _check_together(file: str, sites: dict[str, Site]) -> None:
    titles: dict[str, str] = {}
    for name, site in sites.items():
        if site.called_ae is None:
            continue
        other = titles.setdefault(site.called_ae, name)
        if other != name:
            raise InvalidSites(f"{file}: {other} and {name} have the same called_ae; an AE title stands for one site.")
