"""The intake's command line: ``python -m aurelius_intake run | status | add | pull``."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.console import Console

from aurelius_catalog.errors import AureliusError
from aurelius_intake.commands.pull import pull
from aurelius_intake.service.status import describe_status, print_status
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone

app = typer.Typer(
    help="Bring images in: what the house takes from the inboxes of the sites.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would print the values of variables
)

app.command()(pull)


@app.command()
def run(
    once: Annotated[bool, typer.Option(help="Stop when the inboxes are empty.")] = False,
) -> None:
    """Take what comes to rest in the inboxes, until told to stop."""
    from aurelius_intake.processing.worker_pool import configure_logging
    from aurelius_intake.service.runner import serve  # brings the imaging stack; `status` and `add` need none of it

    configure_logging(logging.INFO)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(IntakeSettings(), stop, once=once)
    except AureliusError as error:
        _give_up(error)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show what became of everything that came in."""
    described = describe_status(IntakeSettings())
    if as_json:
        typer.echo(json.dumps(described.to_json(), indent=2))
    else:
        print_status(described, Console())


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="A file or a folder; it is copied, subfolders included.")],
    site: Annotated[str, typer.Option(help="The clinic it comes from, as in 'north'.")],
) -> None:
    """Put a file or folder into a site's inbox."""
    try:
        Zone(IntakeSettings()).take_in(path, site)
    except AureliusError as error:
        _give_up(error)
    typer.echo(f"Copied into the inbox of {site}. `aurelius intake status` shows what becomes of it.")


def _give_up(error: AureliusError) -> None:
    typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(1) from None


if __name__ == "__main__":
    app(prog_name="aurelius intake")
