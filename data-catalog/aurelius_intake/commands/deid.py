"""``aurelius deid``: what the certificate of a study says, and whether it still holds."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from aurelius_catalog.errors import AureliusError
from aurelius_intake.settings import IntakeSettings

app = typer.Typer(
    help="Prove what de-identification did: certificates, and checking them again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would print the values of variables
)
STUDY = typer.Argument(metavar="STUDY", help="The study's new UID, as the catalog knows it.")
DIFFERS, CANNOT_TELL = 1, 2


@app.command()
def verify(
    study: Annotated[str, STUDY],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Hash a study's files again, check their headers by the profile, and search them for what identified the patient.

    Ends with 0 if everything is as certified, 1 if something differs, 2 if it cannot be told.
    """
    from aurelius_intake.certificates.verification import verify_certificate  # brings the imaging stack
    from aurelius_intake.vault import open_vault

    settings = IntakeSettings()
    try:
        found = verify_certificate(settings, study, open_vault(settings))
    except AureliusError as error:
        _give_up(error)
    if as_json:
        content = {"verified": not found.findings, "findings": list(found.findings), "objects": found.objects}
        typer.echo(json.dumps({**content, "values": found.values, "scanned_bytes": found.scanned_bytes}, indent=2))
    else:
        for finding in found.findings:
            typer.echo(f"DIFFERS: {finding}")
        verdict = "NOT VERIFIED" if found.findings else "VERIFIED"
        typer.echo(
            f"{verdict}: {found.objects} objects, {found.values} identifying values searched for "
            f"in {found.scanned_bytes:,} bytes."
        )
        if found.derived:
            typer.echo(
                f"{found.derived} further files of the study were made in this house; no certificate covers them."
            )
    raise typer.Exit(DIFFERS if found.findings else 0)


@app.command()
def show(study: Annotated[str, STUDY]) -> None:
    """Show what a study's certificate says."""
    from aurelius_intake.certificates.certificate import read_certificate
    from aurelius_intake.certificates.page import ACTIONS

    settings = IntakeSettings()
    try:
        certificate = read_certificate(settings, study)
    except AureliusError as error:
        _give_up(error)
    table = Table(show_header=False, box=None)
    table.add_row("study", certificate.StudyInstanceUID)
    table.add_row("site", certificate.site)
    for batch in certificate.batches:
        profile, residue = batch.profile, batch.residue
        table.add_row("issued", f"{batch.issued_at}, {len(batch.objects)} objects")
        table.add_row("profile", f"{profile['name']}@{profile['version']} on PS3.15 {profile['edition']}")
        table.add_row("options", ", ".join(profile["options"]) or "none")
        table.add_row("searched", f"{residue.values} values in {residue.scanned_bytes:,} bytes, {residue.hits} found")
    for action, count in certificate.actions.most_common():
        table.add_row(ACTIONS.get(action, action), f"{count:,}")
    table.add_row("signed", "yes" if certificate.signature else "no")
    table.add_row("page", str(settings.certificates / f"{study}.html"))
    Console(soft_wrap=True).print(table)


def _give_up(error: AureliusError) -> None:
    typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(CANNOT_TELL) from None


if __name__ == "__main__":
    app(prog_name="aurelius deid")
