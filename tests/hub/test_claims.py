from __future__ import annotations

import pytest

from aurelius_hub.claims import list_endpoints, map_groups


@pytest.mark.parametrize(
    ("claims", "groups"),
    [
        pytest.param({}, set(), id="nothing"),
        pytest.param({"groups": None, "realm_access": None}, set(), id="null"),
        pytest.param({"realm_access": {}}, set(), id="no roles"),
        pytest.param({"realm_access": {"roles": ["clinician"]}}, {"role-clinician"}, id="a role"),
        pytest.param({"realm_access": {"roles": ["offline_access", "uma_authorization"]}}, set(), id="Keycloak's own"),
        pytest.param({"realm_access": {"roles": ["service"]}}, set(), id="a role only processes have"),
        pytest.param({"groups": ["/sites/north"]}, {"site-north"}, id="a site"),
        pytest.param({"groups": ["/projects/lung", "/projects/brain"]}, {"project-lung", "project-brain"}, id="two"),
        pytest.param({"groups": ["sites/north"]}, set(), id="no leading slash"),
        pytest.param({"groups": ["/sites"]}, set(), id="the tree itself"),
        pytest.param({"groups": ["/sites/north/ward-3"]}, set(), id="too deep"),
        pytest.param({"groups": ["/staff/role-admin", "role-admin", "/role-admin"]}, set(), id="named as a role"),
        pytest.param({"groups": ["/projects/../role-admin", "/projects/a b"]}, set(), id="odd names"),
        pytest.param({"groups": [7]}, set(), id="not text"),
        pytest.param(
            {"groups": ["/sites/north"], "realm_access": {"roles": ["clinician", "reviewer"]}},
            {"site-north", "role-clinician", "role-reviewer"},
            id="both",
        ),
    ],
)
def test_claims_become_groups(claims: dict[str, object], groups: set[str]) -> None:
    assert map_groups(claims) == groups


def test_endpoints_lie_where_keycloak_has_them() -> None:
    endpoints = list_endpoints("https://id.example.org/realms/aurelius/")
    assert endpoints["token_url"] == "https://id.example.org/realms/aurelius/protocol/openid-connect/token"
