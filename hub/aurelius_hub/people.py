"""The people of the demo, and the passwords that each home makes for them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from aurelius_hub.secretfile import make_private_folder, write_private

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class DemoPerson:
    """Somebody who may log in to the demo.

    ``tries`` says what this person can try; roles, projects and sites are named as at the issuer.
    """

    name: str
    roles: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    tries: str = field(default="", compare=False)

    @property
    def groups(self) -> list[str]:
        """Group paths as Keycloak sends them."""
        return [f"/projects/{name}" for name in self.projects] + [f"/sites/{name}" for name in self.sites]


DEMO_PEOPLE: tuple[DemoPerson, ...] = (
    DemoPerson("rhea", ("researcher",), ("lung",), (), "JupyterLab: run guides/01-first-look.ipynb"),
    DemoPerson("anton", ("annotator",), ("lung",), (), "Annotation page: connect 3D Slicer, take the next case, save"),
    DemoPerson("vera", ("reviewer",), ("lung",), (), "Reports: run one, run it again, compare"),
    DemoPerson("bram", ("researcher",), ("brain",), (), "JupyterLab: sees brain, is refused lung"),
    DemoPerson("nora", ("clinician",), (), ("north",), "Worklist of site north: accept or override a finding"),
    DemoPerson("sid", ("clinician",), (), ("south",), "Worklist of site south"),
    DemoPerson(
        "stella", ("steward",), (), (), "Intake page: what came in, what waits for a decision, the certificates"
    ),
    DemoPerson("stefan", ("steward",), (), (), "The second steward: approves when stella asks who a patient is"),
    DemoPerson("otto", ("admin",), (), (), "Hub: who is in, which servers run"),
    DemoPerson("gil", ("student",), (), (), "May log in, belongs to nothing, sees no image"),
)


def make_password() -> str:
    """Return a fresh password of three groups of four, about 59 bits."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(12))
    return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"


def load_passwords(file: Path, people: tuple[DemoPerson, ...] = DEMO_PEOPLE) -> dict[str, str]:
    """Return each person's password from ``file``; whoever has none yet is given one."""
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    missing = {person.name: make_password() for person in people if person.name not in known}
    if missing:
        make_private_folder(file.parent)
        write_private(file, json.dumps(known | missing, indent=2) + "\n")
    return known | missing
