"""Withdrawing a patient on the command line: ``aurelius withdraw PATIENT --reason``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aurelius_catalog.errors import AureliusError
from aurelius_intake.commands.steward_client import call_intake

app = typer.Typer(pretty_exceptions_enable=False)  # they would print the values of variables


@app.command()
def withdraw(
    reason: Annotated[str, typer.Option(help="Why, without the patient's name or numbers: it stays on record.")],
    patient: Annotated[str, typer.Argument(help="The pseudonym, as in AUR-ABCD....")] = "",
    site: Annotated[
        str, typer.Option(help="Name the patient by this clinic's own number instead; it is asked for, or piped in.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
) -> None:
    """Remove a patient's images, labels, findings and originals for good, and refuse what comes later."""
    if bool(patient) is bool(site):
        typer.echo("Error: Name the patient by pseudonym, or give --site and the number when asked for it.", err=True)
        raise typer.Exit(1)
    request = {"reason": reason, "pseudonym": patient, "site": site}
    if site:  # not an argument: everybody on the machine can read those
        piped = not sys.stdin.isatty()
        request["PatientID"] = sys.stdin.readline().strip() if piped else typer.prompt("PatientID", hide_input=True)
    if not yes:
        typer.confirm("This cannot be undone. Withdraw the patient?", abort=True)
    try:
        done = call_intake("POST", "withdrawals", request)
    except AureliusError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"Withdrew {done['pseudonym']}: {done['studies']} studies, {done['series']} series, {done['instances']} "
        f"instances, {done['labels']} labels, {done['predictions']} predictions, {done['originals']} originals; "
        f"marked {done['datasets']} frozen datasets."
    )
    if done["pending"]:
        typer.echo(f"{done['pending']} objects are on their way; they are refused, and removed when the intake starts.")


if __name__ == "__main__":
    app(prog_name="aurelius withdraw")
