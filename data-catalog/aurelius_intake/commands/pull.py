"""``aurelius intake pull``: choose studies on a site's DICOMweb server, and bring them into its inbox."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from aurelius_catalog.errors import AureliusError, InvalidRequest, NotFound
from aurelius_intake.receiving.sites import read_sites
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone

if TYPE_CHECKING:
    from aurelius_intake.receiving.dicomweb_client import FoundStudy
    from aurelius_intake.receiving.pull import Puller


def pull(
    site: Annotated[str, typer.Option(help="Whose server, as sites.toml names it.")],
    conditions: Annotated[
        list[str] | None, typer.Argument(help="Further conditions, as in Modality=CT.", metavar="[KEY=VALUE]...")
    ] = None,
    StudyInstanceUID: Annotated[
        list[str] | None, typer.Option("--StudyInstanceUID", help="A study; may be repeated.")
    ] = None,
    query: Annotated[
        list[str] | None, typer.Option(help="A condition, as in StudyDate=20240101-20241231; may be repeated.")
    ] = None,
    only_list: Annotated[bool, typer.Option("--list", help="Show what was found and fetch nothing.")] = False,
) -> None:
    """Bring studies from a site's DICOMweb server into its inbox; run again after an interruption, it goes on."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        wanted = _read_conditions([*(query or []), *(conditions or [])])
        complete = _pull(site, StudyInstanceUID or [], wanted, only_list)
    except AureliusError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    if not complete:
        raise typer.Exit(1)


def _pull(site: str, uids: list[str], conditions: dict[str, str], only_list: bool) -> bool:
    from aurelius_intake.receiving.dicomweb_client import RemoteServer
    from aurelius_intake.receiving.pull import Puller  # brings what the other commands need not wait for
    from aurelius_intake.receiving.pull_journal import Journal

    settings = IntakeSettings()
    sites = read_sites(settings.sites_file)
    if site not in sites:
        raise NotFound(f"sites.toml has no site {site!r}.")
    if not uids and not conditions:
        raise InvalidRequest("Say which studies: --StudyInstanceUID, or --query with a keyword and a value.")
    server = RemoteServer(sites[site], settings.home)
    found = server.find_studies(conditions) if conditions else []
    if only_list:
        _print_studies(found, Console())
        return True
    chosen = list(dict.fromkeys([*uids, *(study.StudyInstanceUID for study in found)]))
    journal = Journal(Zone(settings), site)
    puller = Puller(settings, server, journal)
    with journal.hold():
        complete = [_pull_one(puller, uid, f"Study {number} of {len(chosen)}") for number, uid in enumerate(chosen, 1)]
    return all(complete)


def _pull_one(puller: Puller, uid: str, which: str) -> bool:
    try:
        ended = puller.pull_study(uid)
    except NotFound as error:
        typer.echo(f"{which}: {error}", err=True)
        return False
    message = f"{which}: {ended.fetched} instances fetched, {ended.there} were there before"
    typer.echo(f"{message}, {ended.missing} not given by the server." if ended.missing else f"{message}.")
    return not ended.missing


def _read_conditions(texts: list[str]) -> dict[str, str]:
    conditions = {}
    for text in texts:
        keyword, equals, value = text.partition("=")
        if not equals or not value:
            raise InvalidRequest("A condition has a keyword and a value, as in StudyDate=20240101-20241231.")
        conditions[keyword] = value
    return conditions


def _print_studies(found: list[FoundStudy], console: Console) -> None:
    table = Table(title=f"{len(found)} studies", title_justify="left")
    for column in ("StudyInstanceUID", "StudyDate", "Modalities"):
        table.add_column(column, overflow="fold")
    table.add_column("instances", justify="right")
    for study in found:
        table.add_row(study.StudyInstanceUID, study.StudyDate, study.ModalitiesInStudy, study.n_instances)
    console.print(table)
