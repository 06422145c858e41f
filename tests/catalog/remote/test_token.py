"""A kernel that runs for days goes on when its token has ended: it reads the new one, behind a real hub."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from aurelius_catalog.catalog import open_catalog
from aurelius_catalog.errors import PermissionDenied
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_hub.ports import find_free_ports
from support.cohort import SLICES, Cohort, make_cohort
from support.servers_catalog import Hub, managed_service, temp_hub, wait_until

#: The service, but that it asks the hub about a token anew after a second instead of half a minute.
SERVICE = """
import runpy
from aurelius_catalog.hosting import login
login.CACHE_S = 1
runpy.run_module("aurelius_catalog.service", run_name="__main__")
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def hub(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    environment = {"AURELIUS_HOME": str(cohort.settings.home)}
    service = managed_service("catalog", [sys.executable, "-c", SERVICE], environment, find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service]) as running:
        yield running


def make_token(hub: Hub, **options: object) -> dict[str, str]:
    """Issue a token of rhea; returns what the hub says of it."""
    body = {"scopes": ["access:services!service=catalog"], **options}
    made: dict[str, str] = hub.api("POST", "users/rhea/tokens", json=body).json()
    return made


def is_refused(hub: Hub, token: str) -> bool:
    headers = {"Authorization": f"token {token}"}
    return httpx.get(f"{hub.url}/services/catalog/whoami", headers=headers).status_code == 401


@pytest.mark.parametrize("way", ["it expires", "it is revoked"])
def test_what_is_open_goes_on_with_the_next_token(
    hub: Hub, cohort: Cohort, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    truth = make_phantom("ct-chest", 1).image[SLICES]
    first = make_token(hub, expires_in=5) if way == "it expires" else make_token(hub)
    monkeypatch.setenv("AURELIUS_CATALOG_URL", f"{hub.url}/services/catalog")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", first["token"])
    catalog = open_catalog()
    series = catalog.series(cohort.north_chest)
    image = series.to_xarray(dtype="stored")
    assert np.array_equal(image.copy().load(), truth)

    if way == "it is revoked":
        hub.api("DELETE", f"users/rhea/tokens/{first['id']}")
    wait_until(lambda: is_refused(hub, first["token"]), "the token has ended", 20)
    for read in (lambda: image.copy().load(), lambda: catalog.series(cohort.north_chest)):
        with pytest.raises(PermissionDenied, match="Log in at the hub") as caught:
            read()
        assert first["token"] not in str(caught.value)

    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", make_token(hub)["token"])
    assert np.array_equal(image.copy().load(), truth)
    assert catalog.series(cohort.north_chest).record.SeriesInstanceUID == cohort.north_chest
