"""Fetch, build and start a real Keycloak for ``aurelius demo --login keycloak`` and the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aurelius_hub.configure import read_client_secret
from aurelius_hub.errors import CannotStart
from aurelius_hub.people import DEMO_PEOPLE, DemoPerson, load_passwords
from aurelius_hub.processes import ProcessGroup
from aurelius_hub.secretfile import make_private_folder, write_private
from aurelius_hub.settings import HubSettings

VERSION = "26.5.2"
NAME = f"keycloak-{VERSION}"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"
START_S = 300.0

Report = Callable[[str], None]


def start_keycloak(run: ProcessGroup, report: Report, people: Iterable[DemoPerson] = DEMO_PEOPLE) -> None:
    """Start Keycloak on loopback with the realm of ``deploy/keycloak`` and these people, and wait until it answers.

    Its database is in memory: the realm file, the people and the passwords of the home are the truth at each start.
    """
    settings = run.settings
    server = prepare_home(find_distribution(settings, report), settings, tuple(people))
    report("starting, about 15 seconds")
    command = [
        str(server / "bin" / "kc.sh"),
        "start",
        "--optimized",
        "--http-enabled=true",
        "--hostname-strict=false",
        "--http-host=127.0.0.1",
        f"--http-port={settings.issuer_port}",
        "--http-management-host=127.0.0.1",
        f"--http-management-port={settings.keycloak_management_port}",
        "--import-realm",
    ]
    run.start("keycloak", command, {"JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m"})
    run.wait_answer("keycloak", f"http://127.0.0.1:{settings.keycloak_management_port}/health/ready", START_S)


def find_distribution(settings: HubSettings, report: Report) -> Path:
    """Return the folder of a built Keycloak; fetch and build it where there is none yet.

    Raises
    ------
    CannotStart
        If Java is missing, or Keycloak cannot be had.
    """
    if shutil.which("java") is None:
        raise CannotStart(
            "Keycloak runs on Java, which is missing.", "Install Java 17 or newer, or use the loopback login."
        )
    cache = settings.cache / "keycloak"
    built = cache / NAME
    if built.exists():
        return built
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"keycloak-quarkus-dist-{VERSION}.tar.gz"
    if not archive.exists():
        fetch_archive(archive, report)
    report("building it, once")
    work = cache / f"{NAME}.part"
    shutil.rmtree(work, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(work, filter="data")
    build = [str(work / NAME / "bin" / "kc.sh"), "build", "--db=dev-mem", "--health-enabled=true"]
    outcome = subprocess.run(build, capture_output=True, text=True)
    if outcome.returncode:
        raise CannotStart(f"Keycloak could not be built: {outcome.stdout.strip()[-300:]}", "It needs Java 17 or newer.")
    (work / NAME).rename(built)
    shutil.rmtree(work)
    return built


def fetch_archive(archive: Path, report: Report) -> None:
    """Fetch the distribution with Maven.

    Raises
    ------
    CannotStart
        If Maven is missing or does not find it.
    """
    remedy = f"Put {archive.name} into {archive.parent}."
    if shutil.which("mvn") is None:
        raise CannotStart("Keycloak is fetched with Maven, which is missing.", f"Install Maven. Or: {remedy}")
    report("fetching 164 MB with Maven, once")
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
    part = archive.parent / "fetch.part"
    command = ["mvn", "-q", "-B", copy, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={part}"]
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=archive.parent)
    if outcome.returncode:
        raise CannotStart("Maven could not fetch Keycloak.", remedy)
    (part / archive.name).rename(archive)
    part.rmdir()


def prepare_home(distribution: Path, settings: HubSettings, people: tuple[DemoPerson, ...]) -> Path:
    """Return a Keycloak folder of this home: the distribution's files, and the realm with its people to import."""
    server = settings.state / "keycloak"
    shutil.rmtree(server, ignore_errors=True)
    shutil.copytree(distribution, server, copy_function=link_or_copy)
    folder = make_private_folder(server / "data" / "import")
    write_private(folder / "aurelius-realm.json", json.dumps(build_realm(settings, people)))
    return server


def link_or_copy(source: str, target: str) -> None:
    """Link a file where that is possible: the distribution is 175 MB and is only read."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def build_realm(settings: HubSettings, people: tuple[DemoPerson, ...]) -> dict[str, Any]:
    """Return the realm of ``deploy/keycloak/realm.json`` with this home's client secret, addresses and people."""
    realm: dict[str, Any] = json.loads((settings.repository / "deploy" / "keycloak" / "realm.json").read_text())
    bases = [f"http://{host}:{settings.port}/hub" for host in ("127.0.0.1", "localhost")]
    client = next(client for client in realm["clients"] if client["clientId"] == settings.client_id)
    client["secret"] = read_client_secret(settings)
    client["redirectUris"] = [f"{base}/oauth_callback" for base in bases]
    client["attributes"]["post.logout.redirect.uris"] = "##".join(f"{base}/login" for base in bases)
    passwords = load_passwords(settings.state / "passwords.json", people)
    realm["users"] = [describe_person(person, passwords[person.name]) for person in people]
    return realm


def describe_person(person: DemoPerson, password: str) -> dict[str, object]:
    """Return a person as Keycloak imports one; without name and address it would ask for them at the first login."""
    return {
        "username": person.name,
        "enabled": True,
        "firstName": person.name.title(),
        "lastName": "Demo",
        "email": f"{person.name}@example.org",
        "emailVerified": True,
        "realmRoles": list(person.roles),
        "groups": person.groups,
        "credentials": [{"type": "password", "value": password, "temporary": False}],
    }
