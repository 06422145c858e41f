"""The table of roles, and that everything else in the house says the same."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from aurelius_catalog.access.person import Action, Person
from aurelius_extensions.dashboards.server.registry import list_dashboards
from aurelius_hub.people import DEMO_PEOPLE
from aurelius_hub.roles import ROLES, build_roles, find_landing, list_scopes, role_groups

#: Written out on purpose: the table is the promise, and a change to it should be noticed.
MAY_OPEN = {
    "catalog": set(ROLES) - {"gateway"},
    "annotation": {"researcher", "ml-engineer", "annotator", "radiologist", "pathologist"},
    "dashboards": {"clinician", "radiologist", "pathologist", "steward", "reviewer"},
    "intake": {"gateway", "steward"},
    "reports": {"reviewer", "researcher", "ml-engineer", "radiologist", "steward"},
}
MAY_DO = {
    Action.ANNOTATE: {"annotator", "ml-engineer", "pathologist", "radiologist", "researcher"},
    Action.PREDICT: {"ml-engineer", "researcher"},
    Action.DECIDE: {"clinician", "pathologist", "radiologist"},
    Action.FREEZE: {"ml-engineer", "researcher", "steward"},
    Action.REPORT: {"ml-engineer", "radiologist", "researcher", "reviewer", "steward"},
    Action.STEWARD: {"steward"},
}
ROOT = Path(__file__).parents[2]
TABLE = tomllib.loads((files("aurelius_catalog.access") / "roles.toml").read_text("utf-8"))
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
        (["role-researcher"], "/hub/spawn"),
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


def test_the_table_says_nothing_that_nobody_reads() -> None:
    known = {"description", "opens", "does", "notebook", "lands", "scopes", "sees_everything", "people"}
    assert {key for row in TABLE.values() for key in row} <= known
    assert {action for row in TABLE.values() for action in row.get("does", ())} == set(Action)
    assert set(TABLE) == set(ROLES) | {"service"}


@pytest.mark.parametrize("action", sorted(MAY_DO))
def test_each_role_may_do_what_the_table_says(action: Action) -> None:
    assert {name for name in ROLES if Person.of("somebody", [f"role-{name}"]).may(action)} == MAY_DO[action]


def test_only_stewards_see_every_study() -> None:
    assert {name for name in ROLES if Person.of("somebody", [f"role-{name}"]).sees_everything} == {"steward"}


def test_the_realm_has_the_same_roles() -> None:
    realm = json.loads((ROOT / "deploy" / "keycloak" / "realm.json").read_text())
    described = {role["name"]: role["description"] for role in realm["roles"]["realm"]}
    assert described == {name: role.description for name, role in ROLES.items()}
    groups = {group["name"]: {each["name"] for each in group["subGroups"]} for group in realm["groups"]}
    assert {project for person in DEMO_PEOPLE for project in person.projects} <= groups["projects"]
    assert {site for person in DEMO_PEOPLE for site in person.sites} <= groups["sites"]


def test_dashboards_are_for_roles_that_may_open_them() -> None:
    folder = ROOT / "notebooks" / "dashboards"
    for notebook in folder.glob("*.ipynb"):
        named = set(json.loads(notebook.read_text())["metadata"]["aurelius"].get("roles", ()))
        assert named <= MAY_OPEN["dashboards"], notebook.name
    for name in ROLES:
        offered = list_dashboards(folder, Person.of("somebody", [f"role-{name}"]))
        lands = ROLES[name].lands
        if lands.startswith("/services/dashboards/") and lands != "/services/dashboards/":
            assert lands.rsplit("/", 1)[1] in {each.name for each in offered}, f"{name} lands on a page it may not open"


def test_people_land_where_they_may_go() -> None:
    for name, role in ROLES.items():
        if role.lands.startswith("/services/"):
            assert role.lands.split("/")[2] in role.services, name
        assert role.lands != "/hub/spawn" or role.notebook, name
