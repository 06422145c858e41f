"""The issuer's claims about a person, turned into hub groups; and the issuer's addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aurelius_hub.roles import ROLES

#: Keycloak sends groups as paths; only these two trees mean anything here.
GROUP_PATH = re.compile(r"/(site|project)s/([A-Za-z0-9][A-Za-z0-9_.-]{0,63})")

OPENID_PATHS = {
    "authorize_url": "auth",
    "token_url": "token",
    "userdata_url": "userinfo",
    "logout_redirect_url": "logout",
}


def list_endpoints(issuer: str) -> dict[str, str]:
    """Return the authenticator's addresses, as Keycloak lays them out under its realm."""
    return {trait: f"{issuer.rstrip('/')}/protocol/openid-connect/{path}" for trait, path in OPENID_PATHS.items()}


def map_groups(claims: Mapping[str, Any]) -> set[str]:
    """Turn the issuer's claims into hub groups.

    Realm role ``clinician`` becomes ``role-clinician`` where the table of roles has it; ``/sites/north``
    becomes ``site-north``, ``/projects/lung`` becomes ``project-lung``. Everything else is dropped: Keycloak
    has many roles of its own. An empty ``groups`` claim is left out by Keycloak, so its absence is no error.
    """
    access = claims.get("realm_access")
    roles = access.get("roles") if isinstance(access, Mapping) else None
    groups = {f"role-{name}" for name in roles or [] if name in ROLES}
    for path in claims.get("groups") or []:
        if match := GROUP_PATH.fullmatch(str(path)):
            groups.add(f"{match[1]}-{match[2]}")
    return groups


def read_groups(auth_state: Mapping[str, Any]) -> set[str]:
    """Return the hub groups of the person this authentication state belongs to."""
    return map_groups(auth_state["oauth_user"])
