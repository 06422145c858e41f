"""Certificates: they say what was done, hold nothing that identifies, and find what was changed afterwards."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update
from typer.testing import CliRunner

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import NotFound
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.index.deidentified import DeidentifiedStudy
from aurelius_catalog.index.schema import instances
from aurelius_catalog.local.store import LocalStore
from aurelius_deidentify.header import Deidentifier, load_profile
from aurelius_deidentify.residue.scanner import ResidueReport, ResidueScanner, find_residue
from aurelius_intake.access import require_steward
from aurelius_intake.certificates.api import router
from aurelius_intake.certificates.certificate import (
    Certificate,
    CertifiedObject,
    issue_certificate,
    read_certificate,
)
from aurelius_intake.certificates.verification import verify_certificate
from aurelius_intake.commands.deid import app
from aurelius_intake.settings import IntakeSettings, read_settings
from aurelius_intake.vault import Vault, create_vault, open_vault
from support.builders import VISIT, write_ct
from support.gate import read_invented


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the state folder of a house that holds one study of three slices."""
    folder = tmp_path_factory.mktemp("taken")
    settings = IntakeSettings(home=folder / "house")
    take_in(settings, create_vault(settings), write_ct(folder / "in", slices=4)[:3])
    open_engine(settings).dispose()
    return settings.home


@pytest.fixture
def settings(taken: Path, tmp_path: Path) -> IntakeSettings:
    shutil.copytree(taken, tmp_path / "house")
    return IntakeSettings(home=tmp_path / "house")


@pytest.fixture
def vault(settings: IntakeSettings) -> Vault:
    return open_vault(settings)


@pytest.fixture
def certificate(settings: IntakeSettings) -> Certificate:
    [path] = settings.certificates.glob("*.json")
    return read_certificate(settings, path.stem)


def take_in(settings: IntakeSettings, vault: Vault, sources: list[Path]) -> Certificate:
    """Take files in as the intake does: rewrite, search, remember, store, certify."""
    profile = load_profile("research")
    session = Deidentifier(vault.pseudonyms, "north", profile).open_study()
    settings.files.mkdir(parents=True, exist_ok=True)
    files = []
    for number, source in enumerate(sources):
        out = session.rewrite(source.read_bytes())
        draft = settings.files / f"{number}.part"
        draft.write_bytes(bytes(out.head) + bytes(out.pixels) + bytes(out.tail))
        files.append(read_invented(draft, {"profile": "research@1"}))
    scanner = ResidueScanner(session.identifiers)
    objects = [
        CertifiedObject(
            file.SOPInstanceUID, file.sha256, "no text expected", len(find_residue(scanner, read(file.path)))
        )
        for file in files
    ]
    study = DeidentifiedStudy("north", tuple(files))
    vault.remember(
        site="north",
        PatientID=VISIT.PatientID,
        PatientName=VISIT.PatientName,
        pseudonym=study.PatientID,
        StudyInstanceUID=study.StudyInstanceUID,
        uids=session.uids,
        evidence=session.identifiers,
    )
    report = ResidueReport(len(scanner.values), sum(file.size_bytes for file in files), 0)
    LocalStore(settings, Person.service("intake")).add_study(study)
    return issue_certificate(
        settings,
        site="north",
        StudyInstanceUID=study.StudyInstanceUID,
        profile=profile,
        objects=objects,
        touched=session.touched,
        residue=report,
        signer=vault.sign,
        public_key=vault.public_key,
    )


def read(path: Path) -> bytes:
    return path.read_bytes()


def find_stored(settings: IntakeSettings) -> list[Path]:
    return sorted(settings.files.rglob("*.dcm"))


def test_a_study_as_it_was_stored_is_verified(settings: IntakeSettings, vault: Vault, certificate: Certificate) -> None:
    found = verify_certificate(settings, certificate.StudyInstanceUID, vault)
    assert found.findings == ()
    assert found.objects == 3
    assert found.values > 10
    assert found.scanned_bytes == sum(path.stat().st_size for path in find_stored(settings))
    assert {"X", "U", "K", "S"} <= certificate.actions.keys()
    assert certificate.attributes["00080018", "U"] == 3


def test_neither_json_nor_page_holds_what_identifies(
    settings: IntakeSettings, vault: Vault, certificate: Certificate
) -> None:
    evidence = vault.recall_evidence(certificate.StudyInstanceUID)
    assert {"plantagenet", "petra", "19580417", VISIT.make_uid("study")} <= evidence
    for suffix in ("json", "html"):
        text = read(settings.certificates / f"{certificate.StudyInstanceUID}.{suffix}")
        assert ResidueScanner(evidence).scan(text) == []
    page = text.decode()
    for said in (
        "2026c",
        "research, version 1",
        "Clean Descriptors",
        "identifying values were searched for",
        "<b>0 found",
    ):
        assert said in page
    assert not re.search(r"<script|<link|<img|https?://", page)


def test_a_file_changed_by_one_byte_is_found(settings: IntakeSettings, vault: Vault, certificate: Certificate) -> None:
    study = certificate.StudyInstanceUID
    path = find_stored(settings)[1]
    data = bytearray(read(path))
    data[-5] ^= 1
    path.write_bytes(data)
    [finding] = verify_certificate(settings, study, vault).findings
    assert "changed since it was certified" in finding
    assert path.stem in finding


@pytest.mark.parametrize("forge", ["count", "residue", "resign"])
def test_a_certificate_that_was_edited_is_found(
    settings: IntakeSettings, vault: Vault, certificate: Certificate, tmp_path: Path, forge: str
) -> None:
    path = settings.certificates / f"{certificate.StudyInstanceUID}.json"
    content = json.loads(path.read_text())
    if forge == "count":
        content["batches"][0]["attributes"][0][2] += 1
    else:
        content["batches"][0]["residue"]["scanned_bytes"] += 1
    path.write_text(json.dumps(content))
    if forge == "resign":  # by somebody who states the right hash and has another key
        changed = read_certificate(settings, certificate.StudyInstanceUID)
        stranger = create_vault(IntakeSettings(home=tmp_path / "elsewhere"))
        content["content_sha256"] = changed.digest()
        content["signature"] = stranger.sign(changed.digest().encode())
        content["public_key"] = stranger.public_key
        path.write_text(json.dumps(content))
    findings = verify_certificate(settings, certificate.StudyInstanceUID, vault).findings
    assert any("certificate was changed" in finding or "not one of this house" in finding for finding in findings)


def test_planted_residue_is_found_though_hash_and_signature_agree(
    settings: IntakeSettings, vault: Vault, certificate: Certificate
) -> None:
    path = find_stored(settings)[0]
    path.write_bytes(read(path) + b"\xff\xff\xff\xff Petra")
    item = replace(certificate.objects[path.stem], sha256=hashlib.sha256(read(path)).hexdigest())
    rest = [other for uid, other in certificate.objects.items() if uid != path.stem]
    (settings.certificates / f"{certificate.StudyInstanceUID}.json").unlink()
    issue_certificate(
        settings,
        site="north",
        StudyInstanceUID=certificate.StudyInstanceUID,
        profile=load_profile("research"),
        objects=[item, *rest],
        touched={},
        residue=ResidueReport(1, 1, 0),
        signer=vault.sign,
    )
    findings = verify_certificate(settings, certificate.StudyInstanceUID, vault).findings
    assert any(
        "1 identifying values are left in it, in bytes outside of any attribute" in finding for finding in findings
    )


def test_what_the_profile_forbids_is_found_by_its_name_alone(
    settings: IntakeSettings, vault: Vault, certificate: Certificate
) -> None:
    from pydicom import dcmread

    study = certificate.StudyInstanceUID
    path = find_stored(settings)[0]
    dataset = dcmread(path)
    dataset.PatientAddress, dataset.InstitutionName = "somewhere", "somebody"
    dataset.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "LO", "secret")
    dataset.preamble = b"x" * 128
    dataset.save_as(path)
    text = "\n".join(verify_certificate(settings, study, vault).findings)
    for said in ("PatientAddress", "InstitutionName", "the private attribute (0009,1001)", "preamble"):
        assert said in text
    assert not re.search("somewhere|somebody|secret", text)


def test_objects_removed_and_added_are_found(settings: IntakeSettings, vault: Vault, certificate: Certificate) -> None:
    study = certificate.StudyInstanceUID
    first, second, _ = find_stored(settings)
    with writing(open_engine(settings)) as connection:
        row = connection.execute(select(instances).where(instances.c.SOPInstanceUID == first.stem)).mappings().one()
        connection.execute(insert(instances).values({**row, "SOPInstanceUID": "2.25.1"}))
        connection.execute(insert(instances).values({**row, "SOPInstanceUID": "2.25.2", "deidentification": None}))
    second.unlink()
    found = verify_certificate(settings, study, vault)
    assert found.derived == 1, "what was made in the house needs no certificate"
    assert sorted(found.findings) == [
        "Object 2.25.1 is in the catalog and not certified.",
        f"Object {second.stem}: its file is gone or cannot be read.",
    ]
    with writing(open_engine(settings)) as connection:
        this = instances.c.SOPInstanceUID == first.stem
        connection.execute(update(instances).where(this).values(SOPInstanceUID="2.25.3", deidentification=None))
    assert any(
        "certified and not in the catalog" in said for said in verify_certificate(settings, study, vault).findings
    )


def test_late_instances_are_added_and_the_same_again_changes_nothing(
    settings: IntakeSettings, vault: Vault, certificate: Certificate, tmp_path: Path
) -> None:
    study = certificate.StudyInstanceUID
    late = write_ct(tmp_path / "in", slices=4)[3:]
    both = take_in(settings, vault, late)
    assert [len(batch.objects) for batch in both.batches] == [3, 1]
    assert both.attributes["00080018", "U"] == 4
    file = settings.certificates / f"{study}.json"
    written = read(file)
    assert take_in(settings, vault, late) == both
    assert read(file) == written
    assert verify_certificate(settings, study, vault).findings == ()


def test_the_command_says_verified_or_what_differs(
    settings: IntakeSettings, vault: Vault, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = certificate.StudyInstanceUID
    monkeypatch.setenv("AURELIUS_HOME", str(settings.home))
    run = CliRunner().invoke
    fine = subprocess.run(
        [sys.executable, "-m", "aurelius_intake.commands.deid", "verify", study], capture_output=True, text=True
    )
    assert (fine.returncode, fine.stdout.split(":")[0]) == (0, "VERIFIED"), fine.stderr
    assert "research@1 on PS3.15 2026c" in run(app, ["show", study]).output
    find_stored(settings)[0].unlink()
    worse = run(app, ["verify", study])
    assert worse.exit_code == 1
    assert "NOT VERIFIED" in worse.output
    assert json.loads(run(app, ["verify", study, "--json"]).output)["verified"] is False
    unknown = run(app, ["verify", "1.2.3"])
    assert unknown.exit_code == 2
    assert "no certificate" in unknown.output


def test_a_name_that_is_no_uid_reaches_no_file(settings: IntakeSettings) -> None:
    (settings.home / "catalog" / "secret.json").write_text("{}")
    with pytest.raises(NotFound):
        read_certificate(settings, "../secret")


def test_stewards_read_certificates_over_http(settings: IntakeSettings, vault: Vault, certificate: Certificate) -> None:
    study = certificate.StudyInstanceUID
    service = FastAPI()
    service.include_router(router)
    service.dependency_overrides[require_steward] = lambda: Person.of("stella", ["role-steward"])
    read_settings.cache_clear()
    with pytest.MonkeyPatch.context() as patch, TestClient(service) as client:
        patch.setenv("AURELIUS_HOME", str(settings.home))
        [listed] = client.get("/certificates").json()
        assert (listed["StudyInstanceUID"], listed["objects"], listed["verdict"]) == (study, 3, "nothing left")
        assert client.get(f"/certificates/{study}").json()["site"] == "north"
        page = client.get(f"/certificates/{study}/page")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
    read_settings.cache_clear()
