"""Who may see and do what: the decision table of `aurelius_catalog.access.person`."""

import pytest

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.errors import PermissionDenied


@pytest.mark.parametrize(
    ("groups", "site", "projects", "expected"),
    [
        (["project-lung"], "north", ["lung"], True),
        (["project-lung"], "north", ["brain"], False),
        (["project-lung"], "north", [], False),
        (["site-north"], "north", [], True),
        (["site-north"], "south", ["lung"], False),
        (["role-steward"], "south", [], True),
        (["role-admin"], "south", ["lung"], False),  # who runs the house does not thereby read images
        (["role-researcher"], "north", ["lung"], False),
        (["lung", "north"], "north", ["lung"], False),  # a bare name is no membership
        ([], "north", ["lung"], False),
    ],
)
def test_sight(groups: list[str], site: str, projects: list[str], expected: bool) -> None:
    assert Person.of("somebody", groups).may_see(site, projects) is expected


@pytest.mark.parametrize(
    ("role", "action", "expected"),
    [
        ("annotator", Action.ANNOTATE, True),
        ("clinician", Action.ANNOTATE, False),
        ("clinician", Action.DECIDE, True),
        ("researcher", Action.DECIDE, False),
        ("reviewer", Action.REPORT, True),
        ("student", Action.REPORT, False),
        ("admin", Action.DECIDE, False),
    ],
)
def test_rights(role: str, action: Action, expected: bool) -> None:
    assert Person.of("somebody", [f"role-{role}"]).may(action) is expected


def test_nobody_can_claim_to_be_a_service() -> None:
    person = Person.of("mallory", ["role-service"])
    assert not person.sees_everything
    assert Person.service("intake").sees_everything


def test_a_refusal_names_the_roles_that_would_do() -> None:
    with pytest.raises(PermissionDenied, match=r"nora may not annotate.*annotator"):
        Person.of("nora", ["role-clinician"]).require(Action.ANNOTATE)
