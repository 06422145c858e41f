"""``aurelius demo``: the whole house on one machine, with people and images to try it on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aurelius_hub.checks import check_machine, check_ports
from aurelius_hub.errors import StepFailed
from aurelius_hub.keycloak_server import start_keycloak
from aurelius_hub.people import DEMO_PEOPLE, load_passwords
from aurelius_hub.ports import choose_ports
from aurelius_hub.processes import ProcessGroup
from aurelius_hub.secretfile import write_private
from aurelius_hub.services import SERVICES
from aurelius_hub.settings import HubSettings

Progress = Callable[[str], None]

POLL_S = 0.5
#: The status is a process of its own: asking more often would slow down what it asks about.
STATUS_S = 2.0
START_S = 300.0
INTAKE_S = 600.0


def run_demo(settings: HubSettings, console: Console) -> None:
    """Bring the house up, say how to get in, and stay until asked to stop.

    Raises
    ------
    HubError
        If the machine is not ready or a step fails; by then everything has been stopped again.
    """
    check_machine(settings)
    listen_for_stop()
    try:
        with ExitStack() as stack:
            with console.status("Waiting until an earlier run is gone"):
                run = stack.enter_context(ProcessGroup(choose_ports(settings)))
            check_ports(settings)
            demo = Demo(run, console)
            try:
                demo.bring_up()
                demo.stay()
            finally:
                ignore_stop()
                console.print("Stopping…")
    except Stopped:
        console.print("Stopped. The state is kept; the next start takes seconds.")


#: The signals that ask a program to stop.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked the demo to stop: Ctrl-C, SIGTERM, or a closed terminal."""


class Demo:
    """The steps of the demo.

    Parameters
    ----------
    run
        The run that owns all processes.
    console
        Where progress and the result are shown.
    """

    def __init__(self, run: ProcessGroup, console: Console) -> None:
        self.run = run
        self.settings = run.settings
        self.console = console
        self.done = self.settings.state / "demo.json"

    def bring_up(self) -> None:
        """Go from an empty folder, or one of an earlier start, to a house that answers."""
        passwords = load_passwords(self.settings.state / "passwords.json")
        self.prepare_model()
        if not (self.settings.state / "identified" / "vault.sqlite").exists():
            self.catalog_step("Making the vault and its key", "aurelius_intake.commands.vault", "create")
        if not self.is_done("filled"):
            self.catalog_step("Writing identified demo images into the inbox", "aurelius_intake.demo", "fill")
            self.mark_done("filled")
        self.start_issuer()
        self.start_hub()
        if not self.is_done("frozen"):
            self.wait_intake()
            self.catalog_step("Freezing the demo datasets", "aurelius_intake.demo", "freeze")
            self.catalog_step("Waiting for the model's findings", "aurelius_intake.demo", "findings")
            self.mark_done("frozen")
        self.announce(passwords)

    def prepare_model(self) -> None:
        """Put trained weights into the home; the training keeps what it made for the next home."""
        weights = self.settings.weights / "radiology"
        if any(weights.glob("*.pt")):
            return
        weights.mkdir(parents=True, exist_ok=True)
        script = self.settings.repository / "monailabel-apps" / "radiology" / "train.py"
        command = [str(self.settings.annotation_python), str(script), "--cached", "--output", str(weights)]
        with self.show("Training the demo's segmentation model (minutes, once)") as report:
            self.run.perform("train", command, report)

    def start_issuer(self) -> None:
        """Start the issuer people log in at."""
        if self.settings.login == "keycloak":
            with self.show("Starting Keycloak") as report:
                start_keycloak(self.run, report)
        else:
            self.run.start("issuer", [self.settings.python, "-m", "aurelius_hub.issuer"])

    def start_hub(self) -> None:
        """Start the hub, which starts the services, and wait for each of them."""
        config = self.settings.repository / "jupyterhub_config.py"
        with self.show("Starting the hub and its services") as report:
            command = [self.settings.python, "-m", "aurelius_hub.app", "-f", str(config)]
            self.run.start("hub", command, self.run.zone_environment)
            if self.settings.login == "loopback":
                self.run.wait_answer("issuer", f"http://127.0.0.1:{self.settings.issuer_port}/health", START_S)
            self.wait_services(report)
        record = {"address": self.settings.address, "issuer": self.settings.issuer, "run": self.settings.run}
        write_private(self.settings.hub_state / "run.json", json.dumps(record) + "\n")

    def wait_services(self, report: Progress) -> None:
        """Wait until the hub and each service answer, first behind the proxy and then through it.

        The proxy has its routes last, and would log an error for each question that comes too early.
        """
        services = [service.name for service in SERVICES if service.has_route]
        ports = {"hub": self.settings.hub_port} | {name: self.settings.service_port(name) for name in services}
        paths = {"hub": "/hub/health"} | {name: f"/services/{name}/health" for name in services}
        for name, port in ports.items():
            report(f"waiting for {name}")
            self.run.wait_answer(name, f"http://127.0.0.1:{port}{paths[name]}", START_S)
        for name, path in paths.items():
            self.run.wait_answer(name, f"{self.settings.address}{path}", START_S)

    def wait_intake(self) -> None:
        """Wait until every demo file has been taken in, or put aside with its reason.

        Raises
        ------
        StepFailed
            If the intake has not finished in ten minutes.
        """
        deadline = time.monotonic() + INTAKE_S
        command = [self.settings.python, "-m", "aurelius_intake", "status", "--json"]
        with self.show("De-identifying the demo images and bringing them in") as report:
            while pending := self._count_pending(command):
                self.run.check_alive()
                if time.monotonic() > deadline:
                    raise StepFailed(f"The intake still has {pending} files. See {self.settings.logs / 'intake.log'}.")
                report(f"{pending} files to go")
                time.sleep(STATUS_S)

    def _count_pending(self, command: list[str]) -> int:
        answer = self.run.perform("status", command, lambda line: None, in_zone=True)
        pending: int = json.loads(answer)["pending"]
        return pending

    def catalog_step(self, title: str, module: str, *arguments: str) -> None:
        """Run a module of the catalog to its end."""
        with self.show(title) as report:
            self.run.perform(arguments[0], [self.settings.python, "-m", module, *arguments], report, in_zone=True)

    def stay(self) -> None:
        """Watch over the processes until somebody asks to stop."""
        while True:
            self.run.check_alive()
            time.sleep(POLL_S)

    def announce(self, passwords: dict[str, str]) -> None:
        """Print the address, the people, and what each can try."""
        table = Table(title=f"Aurelius is up: {self.settings.address}", title_justify="left", title_style="bold")
        for column in ("name", "password", "role", "belongs to", "can try"):
            table.add_column(column, no_wrap=column in {"name", "password", "role"}, overflow="fold")
        for person in DEMO_PEOPLE:
            places = [f"project {name}" for name in person.projects] + [f"site {name}" for name in person.sites]
            belongs = ", ".join(places) or "–"
            table.add_row(person.name, passwords[person.name], ", ".join(person.roles), belongs, person.tries)
        self.console.print(table)
        self.console.print(f"Ctrl-C stops it. State: {self.settings.state}  Logs: {self.settings.logs}")

    @contextmanager
    def show(self, title: str) -> Iterator[Progress]:
        """Show that ``title`` is under way, then how long it took."""
        started = time.monotonic()
        with self.console.status(title) as status:
            if not self.console.is_terminal:
                self.console.print(f"{title} …")
            yield lambda line: status.update(f"{title}: {escape(line[:80])}")
        self.console.print(f"[green]✓[/green] {title} ({time.monotonic() - started:.1f} s)")

    def is_done(self, step: str) -> bool:
        """Whether an earlier start has finished ``step``."""
        return self.done.exists() and step in json.loads(self.done.read_text())

    def mark_done(self, step: str) -> None:
        """Remember that ``step`` is finished."""
        known = json.loads(self.done.read_text()) if self.done.exists() else []
        write_private(self.done, json.dumps([*known, step]) + "\n")


def listen_for_stop() -> None:
    """Turn the signals that mean "stop" into an exception."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def ignore_stop() -> None:
    """Let an orderly stop finish: a second Ctrl-C would only hide what it does."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
