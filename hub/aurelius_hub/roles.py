"""One table: what each role may open, and where its people land after login.

A realm role ``clinician`` at the issuer becomes the hub group ``role-clinician``; scopes hang on these groups
and on nothing else. A role that is not in the table does not exist for the hub.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NOTEBOOK = "/hub/spawn"
HOME = "/hub/home"


@dataclass(frozen=True)
class Role:
    """What a role may open.

    Parameters
    ----------
    services
        Names of the services its people may use.
    notebook
        Whether they may start a notebook server.
    lands
        Path they come to after login.
    scopes
        JupyterHub scopes beyond those.
    """

    services: tuple[str, ...]
    notebook: bool = False
    lands: str = HOME
    scopes: tuple[str, ...] = ()


#: The operator keeps the hub running but does not walk into anybody's notebook: no ``access:servers``.
OPERATOR_SCOPES = (
    "admin-ui",
    "delete:servers",
    "list:services",
    "list:users",
    "read:groups",
    "read:hub",
    "read:metrics",
    "read:servers",
    "read:services",
    "read:users",
)

ROLES: dict[str, Role] = {
    "admin": Role(("catalog",), scopes=OPERATOR_SCOPES),
    "annotator": Role(("catalog", "annotation"), notebook=True, lands="/services/annotation/"),
    "clinician": Role(("catalog", "dashboards"), lands="/services/dashboards/"),
    "gateway": Role(("intake",)),  # a machine of a site that sends by STOW-RS; sites.toml says to which site
    "ml-engineer": Role(("catalog", "annotation", "reports"), notebook=True, lands=NOTEBOOK),
    "pathologist": Role(("catalog", "annotation", "dashboards"), lands="/services/dashboards/"),
    "radiologist": Role(("catalog", "annotation", "dashboards", "reports"), lands="/services/dashboards/"),
    "researcher": Role(("catalog", "annotation", "reports"), notebook=True, lands=NOTEBOOK),
    "reviewer": Role(("catalog", "dashboards", "reports"), lands="/services/reports/"),
    "steward": Role(("catalog", "dashboards", "intake", "reports"), lands="/services/dashboards/intake"),
    "student": Role(("catalog",), notebook=True),
}

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
