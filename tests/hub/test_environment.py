"""Settings: each defined once, each in reach of the service that reads it, those of the identified zone of no other."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings
from traitlets.config import Config

from aurelius_annotation.server.settings import AnnotationSettings
from aurelius_catalog.settings import CatalogSettings
from aurelius_extensions.dashboards.server.settings import DashboardSettings
from aurelius_extensions.reports.settings import ReportSettings
from aurelius_hub import configure
from aurelius_hub.environment import pass_settings
from aurelius_hub.processes import ProcessGroup
from aurelius_hub.services import SERVICES, build_environment, build_services
from aurelius_hub.settings import HubSettings
from aurelius_hub.spawner import build_notebook_environment
from aurelius_intake.settings import IntakeSettings

READS: dict[str, type[BaseSettings]] = {
    "annotation": AnnotationSettings,
    "catalog": CatalogSettings,
    "dashboards": DashboardSettings,
    "intake": IntakeSettings,
    "reports": ReportSettings,
}
#: What the hub decides for a service, whatever the operator's environment says.
DECIDED = set(HubSettings().describe_house()) | {"AURELIUS_HOME", "AURELIUS_HANDOVER", "AURELIUS_PUBLIC_URL"}
#: A kernel's, set by who starts it; no service is given it.
OF_KERNELS = {"AURELIUS_CATALOG_URL"}
ZONE = {f"AURELIUS_{name.upper()}" for name in set(IntakeSettings.model_fields) - set(CatalogSettings.model_fields)}


def list_variables(settings: type[BaseSettings]) -> set[str]:
    return {f"AURELIUS_{name.upper()}" for name in settings.model_fields}


@pytest.fixture
def everything_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set, as an operator might, every variable that anything in the house reads, and a few more."""
    for settings in READS.values():
        for name in list_variables(settings) - DECIDED:
            monkeypatch.setenv(name, "7")
    for name in ("AURELIUS_PULL_SECRET", "AURELIUS_SOME_TOKEN", "AURELIUS_NEW_PASSWORD"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("AURELIUS_HANDOVER", "7")


@pytest.mark.parametrize("name", sorted(READS))
def test_every_setting_reaches_the_service_that_reads_it(everything_set: None, tmp_path: Path, name: str) -> None:
    [service] = [each for each in SERVICES if each.name == name]
    given = build_environment(service, HubSettings(home=tmp_path))
    missing = list_variables(READS[name]) - set(given) - OF_KERNELS
    assert missing <= {"AURELIUS_PUBLIC_URL", "AURELIUS_HANDOVER"}, "those the hub left out, since nobody set them"


def test_nothing_of_the_identified_zone_reaches_another_process(everything_set: None, tmp_path: Path) -> None:
    settings = HubSettings(home=tmp_path)
    for service in SERVICES:
        given = set(build_environment(service, settings))
        if service.name == "intake":
            assert given >= ZONE
        else:
            assert not given & (ZONE | {"AURELIUS_PULL_SECRET"}), service.name
        assert not given & {"AURELIUS_SOME_TOKEN", "AURELIUS_NEW_PASSWORD"}
        assert "AURELIUS_CATALOG_URL" not in given
        assert ("AURELIUS_HANDOVER" in given) is (service.name == "catalog")
    [culler] = [each for each in build_services(settings) if each["name"] == "idle-culler"]
    assert not set(culler["environment"]) & (ZONE | {"AURELIUS_DATABASE_URL"})  # type: ignore[call-overload]
    notebook = set(build_notebook_environment(settings))
    assert not notebook & (ZONE | {"AURELIUS_HOME", "AURELIUS_DATABASE_URL"})
    group = ProcessGroup(settings)
    assert not set(group.environment) & (ZONE | {"AURELIUS_DATABASE_URL", "AURELIUS_SOME_TOKEN"})
    assert set(group.zone_environment) >= ZONE


def test_the_hub_keeps_nothing_for_the_proxy_to_inherit(everything_set: None, tmp_path: Path) -> None:
    configure(Config(), HubSettings(home=tmp_path))
    left = {name for name in os.environ if name.startswith("AURELIUS_")}
    assert not left & (ZONE | {"AURELIUS_DATABASE_URL", "AURELIUS_PULL_SECRET", "AURELIUS_SOME_TOKEN"})
    assert "AURELIUS_INTAKE_PROFILE" in left


def test_a_secret_setting_belongs_to_the_intake() -> None:
    for settings in (*READS.values(), HubSettings):
        secrets = {name for name, field in settings.model_fields.items() if field.annotation is SecretStr}
        assert not secrets or settings is IntakeSettings
        if settings is not IntakeSettings:
            assert not hasattr(settings, "identified")
            assert not [name for name in settings.model_fields if "vault" in name or "key" in name.split("_")]


def test_a_setting_is_defined_once() -> None:
    classes = {
        each for settings in (*READS.values(), HubSettings) for each in settings.__mro__ if each is not BaseSettings
    }
    homes: dict[str, set[str]] = {}
    for each in classes:
        for name in vars(each).get("__annotations__", {}):
            homes.setdefault(name, set()).add(each.__name__)
    twice = {name for name, where in homes.items() if len(where) > 1 and not name.startswith(("_", "model_"))}
    # What the hub decides and hands on has a field on both sides; none of them imports the other.
    assert twice <= {name.removeprefix("AURELIUS_").lower() for name in DECIDED}


def test_every_setting_says_what_it_is() -> None:
    for settings in (*READS.values(), HubSettings):
        source = Path(sys.modules[settings.__module__].__file__ or "").read_text()
        for name in vars(settings).get("__annotations__", {}):
            line = source.index(f"    {name}: ")
            assert source[line:].split("\n")[1].strip().startswith('"""'), f"{settings.__name__}.{name}"


def test_a_relative_path_is_one_from_where_the_house_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").mkdir()
    (tmp_path / "idc.parquet").touch()
    given = {
        "AURELIUS_IDC_INDEX": "idc.parquet",
        "AURELIUS_VAULT_KEY_FILE": "keys/to-be-made",
        "AURELIUS_INTAKE_PROFILE": "research",
        "AURELIUS_DATASET_LICENCE": "CC BY 4.0 / inside this house",
        "AURELIUS_PUBLIC_URL": "https://house.example/a",
        "HOME": "/somebody",
    }
    assert pass_settings(given, zone=True) == {
        **{name: value for name, value in given.items() if name != "HOME"},
        "AURELIUS_IDC_INDEX": str(tmp_path / "idc.parquet"),
        "AURELIUS_VAULT_KEY_FILE": str(tmp_path / "keys" / "to-be-made"),
    }
