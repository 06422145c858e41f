"""The ``aurelius`` command."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from aurelius_hub.demo import run_demo
from aurelius_hub.errors import HubError
from aurelius_hub.settings import HubSettings

app = typer.Typer(
    help="Aurelius: medical images for research and annotation.", no_args_is_help=True, pretty_exceptions_enable=False
)


class Login(StrEnum):
    """Which issuer people log in at."""

    LOOPBACK = "loopback"
    KEYCLOAK = "keycloak"


@app.command()
def demo(
    port: Annotated[int | None, typer.Option(help="Port to open in the browser; 0 chooses a free one.")] = None,
    login: Annotated[Login | None, typer.Option(help="Log in at the loopback issuer or at a real Keycloak.")] = None,
    home: Annotated[Path | None, typer.Option(help="State folder.")] = None,
) -> None:
    """Bring the whole house up with demo people and demo images."""
    given = {"port": port, "login": login and login.value, "home": home}
    os.environ.setdefault("AURELIUS_INTAKE_QUIET_S", "2")  # nobody copies files into the demo's inbox for minutes
    settings = HubSettings().model_copy(update={name: value for name, value in given.items() if value is not None})
    try:
        run_demo(settings, Console())
    except HubError as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]✗[/red] {escape(str(error))}")
        raise typer.Exit(1) from None


@app.command()
def hub() -> None:
    """Run the hub against the issuer in AURELIUS_ISSUER_URL, without demo people."""
    settings = HubSettings()
    if not settings.issuer_url:
        Console(stderr=True).print("[red]✗[/red] Set AURELIUS_ISSUER_URL to your Keycloak realm's address.")
        raise typer.Exit(1)
    config = settings.repository / "jupyterhub_config.py"
    become("aurelius_hub.app", "-f", str(config))


#: What is said after these words is for the catalog's own command lines, ``--help`` included.
FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=FORWARD)
def intake(context: typer.Context) -> None:
    """See what became of the files in the inbox, or bring some in: status, add PATH, pull."""
    become("aurelius_intake", *context.args)


@app.command(context_settings=FORWARD)
def deid(context: typer.Context) -> None:
    """Prove that a study holds nothing identifying: verify STUDY, show STUDY."""
    become("aurelius_intake.commands.deid", *context.args)


@app.command(context_settings=FORWARD)
def vault(context: typer.Context) -> None:
    """Keep the way back to a patient sealed, or open it with a second steward: create, rotate, ask, approve, open."""
    become("aurelius_intake.commands.vault", *context.args)


@app.command(context_settings=FORWARD)
def audit(context: typer.Context) -> None:
    """Show that the audit log was not touched: verify, export, prune."""
    become("aurelius_intake.commands.audit", *context.args)


@app.command(context_settings=FORWARD)
def withdraw(context: typer.Context) -> None:
    """Remove a patient who withdrew, and mark what held the images: PATIENT --reason."""
    become("aurelius_intake.commands.withdraw", *context.args)


def become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by ``python -m module``."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


if __name__ == "__main__":
    app()
