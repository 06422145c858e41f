from __future__ import annotations

import pytest

from aurelius_hub.people import DEMO_PEOPLE
from aurelius_hub.roles import NOTEBOOK, ROLES, build_roles, find_landing, list_scopes, role_groups

#: Written out on purpose: the table is the promise, and a change to it should be noticed.
MAY_OPEN = {
    "catalog": set(ROLES) - {"gateway"},
    "annotation": {"researcher", "ml-engineer", "annotator", "radiologist", "pathologist"},
    "dashboards": {"clinician", "radiologist", "pathologist", "steward", "reviewer"},
    "intake": {"gateway", "steward"},
    "reports": {"reviewer", "researcher", "ml-engineer", "radiologist", "steward"},
}
MAY_SPAWN = {"researcher", "ml-engineer", "annotator", "student"}


@pytest.mark.parametrize("service", sorted(MAY_OPEN))
def test_services_open_to_their_roles(service: str) -> None:
    scope = f"access:services!service={service}"
    assert {name for name, role in ROLES.items() if scope in list_scopes(role)} == MAY_OPEN[service]


def test_only_some_roles_start_notebooks() -> None:
    assert {name for name, role in ROLES.items() if role.notebook} == MAY_SPAWN
    [notebook] = [role for role in build_roles() if role["name"] == "aurelius-notebook"]
    assert notebook["groups"] == [f"role-{name}" for name in ROLES if name in MAY_SPAWN]


def test_being_logged_in_alone_opens_nothing() -> None:
    [everybody] = [role for role in build_roles() if role["name"] == "user"]
    scopes = everybody["scopes"]
    assert isinstance(scopes, list)
    assert "self" not in scopes
    assert not [scope for scope in scopes if "servers" in scope or "services" in scope]


def test_the_operator_cannot_walk_into_notebooks() -> None:
    scopes = list_scopes(ROLES["admin"])
    assert not [scope for scope in scopes if scope.startswith(("access:servers", "admin:", "tokens", "groups"))]


@pytest.mark.parametrize(
    ("groups", "landing"),
    [
        ([], "/hub/home"),
        (["role-clinician", "site-north"], "/services/dashboards/"),
        (["role-researcher"], NOTEBOOK),
        (["role-reviewer"], "/services/reports/"),
        (["role-steward"], "/services/dashboards/intake"),
        (["role-steward", "role-reviewer"], "/hub/home"),
        (["role-researcher", "role-clinician"], "/hub/home"),
        (["role-unheard-of"], "/hub/home"),
    ],
)
def test_people_land_where_they_work(groups: list[str], landing: str) -> None:
    assert find_landing(groups) == landing


def test_demo_people_have_known_roles() -> None:
    assert {f"role-{role}" for person in DEMO_PEOPLE for role in person.roles} <= role_groups()
