from __future__ import annotations

import stat
from pathlib import Path

import pytest
from traitlets.config import Config

from aurelius_hub import HubSettings, configure
from aurelius_hub.services import SERVICES, build_services
from aurelius_hub.spawner import build_notebook_environment


def flatten(config: Config, path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in config.items():
        found |= flatten(value, f"{path}{name}.") if isinstance(value, Config) else {path + name: value}
    return found


def apply(settings: HubSettings) -> dict[str, object]:
    config = Config()
    configure(config, settings)
    return flatten(config)


def test_the_issuers_differ_by_their_address_only(tmp_path: Path) -> None:
    loopback = apply(HubSettings(home=tmp_path, issuer_port=4000, login="loopback"))
    keycloak = apply(HubSettings(home=tmp_path, issuer_url="https://id.example.org/realms/aurelius", login="keycloak"))
    different = {name for name in loopback if str(loopback[name]) != str(keycloak[name])}
    # The hook is a fresh function each time.
    assert different - {"Spawner.pre_spawn_hook"} == {
        "KeycloakAuthenticator.authorize_url",
        "KeycloakAuthenticator.token_url",
        "KeycloakAuthenticator.userdata_url",
        "KeycloakAuthenticator.logout_redirect_url",
    }


def test_the_house_listens_to_this_machine_only(tmp_path: Path) -> None:
    assert str(apply(HubSettings(home=tmp_path))["JupyterHub.bind_url"]).startswith("http://127.0.0.1:")


def test_secrets_are_kept_between_starts_and_private(tmp_path: Path) -> None:
    first, second = apply(HubSettings(home=tmp_path)), apply(HubSettings(home=tmp_path))
    for name in ("KeycloakAuthenticator.client_secret", "CryptKeeper.keys"):
        assert first[name] == second[name]
    for file in ("client_secret", "crypt_key"):
        assert stat.S_IMODE((tmp_path / "hub" / file).stat().st_mode) == 0o600


def test_services_inherit_nothing_by_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_OPERATOR", "x")
    allowed = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONUNBUFFERED", "MALLOC_ARENA_MAX"}
    for service in build_services(HubSettings(home=tmp_path, run="abc")):
        environment = service["environment"]
        assert isinstance(environment, dict)
        assert {name for name in environment if not name.startswith("AURELIUS_")} <= allowed
        assert environment["AURELIUS_HOME"] == str(tmp_path)
        assert environment["AURELIUS_RUN"] == "abc"


def test_paths_are_absolute_wherever_a_process_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = HubSettings(home=Path("state"), annotation_python=Path("env/bin/python")).to_environment()
    assert environment["AURELIUS_HOME"] == str(tmp_path / "state")
    assert environment["AURELIUS_ANNOTATION_PYTHON"] == str(tmp_path / "env" / "bin" / "python")


def test_every_service_with_a_page_of_its_own_is_offered_by_name() -> None:
    offered = {service.name for service in SERVICES if service.title and service.text}
    assert offered == {service.name for service in SERVICES if service.has_route} - {"intake"}


def test_catalog_is_told_what_the_house_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURELIUS_INTAKE_PROFILE", "basic")
    monkeypatch.setenv("AURELIUS_IDC_INDEX", str(tmp_path / "idc.parquet"))
    monkeypatch.setenv("AURELIUS_DATASET_LICENCE", "CC BY 4.0")
    settings = HubSettings(home=tmp_path, port=8123, public_url="https://house.example")
    environment = {service["name"]: service["environment"] for service in build_services(settings)}["catalog"]
    assert isinstance(environment, dict)
    assert environment["AURELIUS_INTAKE_PROFILE"] == "basic"
    assert environment["AURELIUS_IDC_INDEX"] == str(tmp_path / "idc.parquet")
    assert environment["AURELIUS_DATASET_LICENCE"] == "CC BY 4.0"
    assert (environment["AURELIUS_PORT"], environment["AURELIUS_PUBLIC_URL"]) == ("8123", "https://house.example")


def test_service_and_notebooks_are_told_of_one_socket(tmp_path: Path) -> None:
    for chosen in (None, tmp_path / "run" / "socket"):
        settings = HubSettings(home=tmp_path, handover=chosen)
        told = {service["name"]: service["environment"] for service in build_services(settings)}
        names = [name for name, environment in told.items() if "AURELIUS_HANDOVER" in environment]  # type: ignore[operator]
        assert names == ["catalog"]
        place = build_notebook_environment(settings)["AURELIUS_HANDOVER"]
        assert told["catalog"]["AURELIUS_HANDOVER"] == place == str(chosen or tmp_path / "handover" / "catalog")  # type: ignore[index]
