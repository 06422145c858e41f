"""The vault on the command line: ``aurelius vault create | rotate | list | ask | approve | open | export``.

Making the vault and changing its key is the operator's work, on the machine that holds the key. What concerns
people is asked of the intake's service, which the hub tells who is asking: no command line can say it is somebody else.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import AureliusError
from aurelius_catalog.index.audit_log import append_event
from aurelius_catalog.index.database import open_engine
from aurelius_intake.commands.steward_client import call_intake
from aurelius_intake.settings import IntakeSettings

app = typer.Typer(
    help="The vault: the way back from pseudonyms to people. Opening one takes two stewards.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would print the values of variables
)
Number = Annotated[int, typer.Argument(help="The request, by its number.")]
Reason = Annotated[str, typer.Option(help="Why, without the patient's name or numbers: it is kept in the audit log.")]


@app.command()
def create() -> None:
    """Make the vault, and its key where none is given."""
    from aurelius_intake.vault import create_vault

    settings = IntakeSettings()
    try:
        vault = create_vault(settings)
        append_event(open_engine(settings), name_operator(), "create vault", "vault", {"public_key": vault.public_key})
    except AureliusError as error:
        _give_up(error)
    typer.echo(f"Made {vault.file}. Keep safe copies of it and of its key, apart from each other.")


@app.command()
def rotate(
    to: Annotated[Path | None, typer.Option(help="File for the new key, where the key is in the environment.")] = None,
) -> None:
    """Seal everything with a new key; pseudonyms stay as they are."""
    from aurelius_intake.vault import rotate_key

    settings = IntakeSettings()
    try:
        file = rotate_key(settings, to)
        append_event(open_engine(settings), name_operator(), "rotate vault key", "vault")
    except AureliusError as error:
        _give_up(error)
    typer.echo(f"The vault has a new key, in {file}. Renew your safe copies of both; the old key opens older copies.")
    if to is not None:
        typer.echo("Put its 64 digits into AURELIUS_VAULT_KEY, then remove the file.")


@app.command("list")
def list_requests() -> None:
    """Show what was asked for, by whom, and what became of it."""
    for request in _call("GET", "vault/requests"):
        agreed = f", approved by {request['approved_by']}" if request["approved_by"] else ""
        typer.echo(
            f"{request['id']:>5}  {request['state']:<9} {request['pseudonym']}  "
            f"asked by {request['asked_by']}{agreed}, until {request['expires_at'][:16]} UTC: {request['reason']}"
        )


@app.command()
def ask(
    pseudonym: Annotated[str, typer.Argument(help="The patient, as in AUR-ABCD...; * for the maps of all.")],
    reason: Reason,
) -> None:
    """Ask to know who is behind a pseudonym."""
    request = _call("POST", "vault/requests", {"pseudonym": pseudonym, "reason": reason})
    typer.echo(
        f"Request {request['id']}: another steward approves it by `aurelius vault approve {request['id']}` "
        f"until {request['expires_at'][:16]} UTC."
    )


@app.command()
def approve(number: Number) -> None:
    """Agree to another steward's request."""
    request = _call("POST", f"vault/requests/{number}/approve")
    typer.echo(
        f"Approved: {request['asked_by']} may open request {number} once, until {request['expires_at'][:16]} UTC."
    )


@app.command("open")
def open_request(number: Number) -> None:
    """Show who it is, once, to the steward who asked."""
    for name, value in _call("POST", f"vault/requests/{number}/open").items():
        typer.echo(f"{name}: {value}")


@app.command()
def export(number: Number) -> None:
    """Write the maps id_old,id_new of all patients into the identified zone (a request for * that was approved)."""
    typer.echo(f"Written into {_call('POST', f'vault/requests/{number}/export')['folder']} of the state folder.")


def name_operator() -> Person:
    """Return who works at this machine's shell, as the audit log names them."""
    return Person.service(f"{getpass.getuser()} (operator)")


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    try:
        return call_intake(method, path, body)
    except AureliusError as error:
        _give_up(error)


def _give_up(error: AureliusError) -> NoReturn:
    typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(1) from None


if __name__ == "__main__":
    app(prog_name="aurelius vault")
