"""The audit log on the command line: ``aurelius audit verify | export | prune``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from aurelius_catalog.durable_files import write_durably
from aurelius_catalog.errors import AureliusError
from aurelius_catalog.index.audit_log import append_event
from aurelius_catalog.index.database import open_engine
from aurelius_intake.audit.export import check_file, export_log, prune_log
from aurelius_intake.audit.signatures import read_outside_head
from aurelius_intake.audit.verification import Finding, check_log
from aurelius_intake.commands.vault import name_operator
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import open_vault, read_notice

app = typer.Typer(
    help="The audit log: is it whole, what happened in a period, and what may go.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
MOST_SHOWN = 20


@app.command()
def verify(
    file: Annotated[Path | None, typer.Option(help="Check this export instead of the log itself.")] = None,
    public_key: Annotated[str, typer.Option(help="The house's public key, where its vault is not at hand.")] = "",
) -> None:
    """Find any record that was edited, removed, moved or cut off; the exit code is 1 if there is one."""
    settings = IntakeSettings()
    key = public_key or read_notice(settings, "public_key")
    try:
        if file is not None:
            finding = check_file(file, key)
        else:
            with open_engine(settings).begin() as connection:
                finding = check_log(connection, key, read_outside_head(settings))
    except AureliusError as error:
        _give_up(error)
    _print_finding(finding, key)
    if finding.faults:
        raise typer.Exit(1)


@app.command()
def export(
    since: Annotated[datetime | None, typer.Option("--from", help="First day, or moment, in UTC.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="First day, or moment, no longer included.")] = None,
    output: Annotated[Path | None, typer.Option(help="File to write; otherwise the terminal.")] = None,
) -> None:
    """Write the records of a period as JSON lines that can be checked by themselves."""
    settings = IntakeSettings()
    start, end = (moment and moment.replace(tzinfo=UTC) for moment in (since, until))
    try:
        vault, engine = open_vault(settings), open_engine(settings)
        with engine.begin() as connection:
            if output is None:
                export_log(connection, vault, sys.stdout.buffer, start, end)
            else:
                write_durably(output.resolve(), lambda file: export_log(connection, vault, file, start, end))
        detail = {"from": start and start.isoformat(), "to": end and end.isoformat()}
        append_event(engine, name_operator(), "export audit", "audit log", detail)
    except AureliusError as error:
        _give_up(error)


@app.command()
def prune() -> None:
    """Remove records older than AURELIUS_AUDIT_YEARS: they are exported first, and a signed checkpoint stays."""
    settings = IntakeSettings()
    try:
        path = prune_log(open_engine(settings), open_vault(settings), settings, name_operator())
    except AureliusError as error:
        _give_up(error)
    if path is None:
        typer.echo(f"No record is older than {settings.audit_years:g} years.")
    else:
        typer.echo(f"Removed what is older than {settings.audit_years:g} years. Keep the export safe: {path}")


def _print_finding(finding: Finding, public_key: str | None) -> None:
    for fault in finding.faults[:MOST_SHOWN]:
        typer.echo(fault.text)
    if len(finding.faults) > MOST_SHOWN:
        typer.echo(f"... and {len(finding.faults) - MOST_SHOWN} more")
    signed = f"signed up to record {finding.signed_to}" if finding.signed_to else "nothing of it is signed yet"
    if public_key is None:
        signed = "the signatures were not checked, because there is no vault: give --public-key"
    verdict = f"{len(finding.faults)} faults" if finding.faults else "WHOLE"
    pruned = f"; those up to {finding.pruned_to} were removed after their time" if finding.pruned_to else ""
    typer.echo(f"{verdict}: {finding.events} records read{pruned}; {signed}.")


def _give_up(error: AureliusError) -> NoReturn:
    typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(1) from None


if __name__ == "__main__":
    app(prog_name="aurelius audit")
