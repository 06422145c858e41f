"""Roles: what each may open, and where its people land after login.

A realm role ``clinician`` at the issuer becomes the hub group ``role-clinician``; scopes hang on these groups
and on nothing else. The table is ``roles.toml`` of the catalog, which decides by it what each role may do; a role that
is not in it does not exist for the hub.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from aurelius_hub.errors import CannotStart

HOME = "/hub/home"


@dataclass(frozen=True)
class Role:
    """What a role may open.

    Parameters
    ----------
    description
        What it is for.
    services
        Names of the services its people may use.
    notebook
        Whether they may start a notebook server.
    lands
        Path they come to after login.
    scopes
        JupyterHub scopes beyond those.
    """

    description: str
    services: tuple[str, ...] = ()
    notebook: bool = False
    lands: str = HOME
    scopes: tuple[str, ...] = ()


def load_roles() -> dict[str, Role]:
    """Return the roles that people can have, by name.

    Raises
    ------
    CannotStart
        If the catalog, whose file the table is, is not installed beside the hub.
    """
    catalog = find_spec("aurelius_catalog")  # found, not imported: the hub starts the catalog as a process
    if catalog is None or catalog.origin is None:
        raise CannotStart("The package aurelius_catalog is not there.", "Install the whole distribution.")
    table = tomllib.loads((Path(catalog.origin).parent / "access" / "roles.toml").read_text("utf-8"))
    return {
        name: Role(
            row["description"],
            tuple(row.get("opens", ())),
            row.get("notebook", False),
            row.get("lands", HOME),
            tuple(row.get("scopes", ())),
        )
        for name, row in table.items()
        if row.get("people", True)
    }


ROLES = load_roles()

#: What everybody who is logged in may do: see themselves and make tokens for tools such as 3D Slicer.
USER_SCOPES = ("read:users!user", "users:activity!user", "tokens!user")
NOTEBOOK_SCOPES = ("servers!user", "access:servers!user")

#: What a notebook's own token is asked for; the hub gives the part of it that the person has.
SERVER_TOKEN_SCOPES = (
    "users:activity!user",
    "access:servers!server",
    "access:services!service=annotation",
    "access:services!service=catalog",
    "access:services!service=reports",
)


def role_groups() -> set[str]:
    """Return the hub groups of all roles: whoever is in none of them may not log in."""
    return {f"role-{name}" for name in ROLES}


def list_scopes(role: Role) -> list[str]:
    """Return the JupyterHub scopes of ``role``."""
    services = [f"access:services!service={name}" for name in role.services]
    return services + list(role.scopes)


def build_roles() -> list[dict[str, object]]:
    """Return ``JupyterHub.load_roles``: everybody's role, one per row of the table, and the idle culler's."""
    people: list[dict[str, object]] = [
        {"name": f"aurelius-{name}", "groups": [f"role-{name}"], "scopes": list_scopes(role)}
        for name, role in ROLES.items()
    ]
    notebooks: dict[str, object] = {
        "name": "aurelius-notebook",
        "groups": [f"role-{name}" for name, role in ROLES.items() if role.notebook],
        "scopes": list(NOTEBOOK_SCOPES),
    }
    culler: dict[str, object] = {
        "name": "aurelius-idle-culler",
        "services": ["idle-culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
    everybody: dict[str, object] = {"name": "user", "scopes": list(USER_SCOPES)}
    return [everybody, *people, notebooks, culler]


def find_landing(groups: Iterable[str]) -> str:
    """Return the path where a person of these groups works; somebody with several such places gets the home page."""
    names = {group.removeprefix("role-") for group in groups if group.startswith("role-")}
    places = {ROLES[name].lands for name in names if name in ROLES} - {HOME}
    return places.pop() if len(places) == 1 else HOME
