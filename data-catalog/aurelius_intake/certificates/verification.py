"""Checking a certificate again, from the stored files, the profile and the vault, without believing a word of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import select

from aurelius_catalog.errors import AureliusError
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import instances
from aurelius_deidentify.header.conformance import find_breaches
from aurelius_deidentify.header.profile import Profile, load_profile
from aurelius_deidentify.residue.false_positives import name_places
from aurelius_deidentify.residue.scanner import ResidueScanner, find_pixels, find_residue
from aurelius_intake.certificates.certificate import Certificate, read_certificate
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault.encryption import verify_signature

DICOM = "application/dicom"


class Keeper(Protocol):
    """What verification needs of the vault."""

    @property
    def public_key(self) -> str:
        """Public half of the house's signing key."""
        ...

    def recall_evidence(self, StudyInstanceUID: str) -> set[str]:
        """Return every original value of a study that identifies."""
        ...


@dataclass(frozen=True)
class CertificateVerification:
    """What came of checking a certificate.

    Parameters
    ----------
    findings
        What differs, in words without identifying values; empty means verified.
    objects, values, scanned_bytes
        How many files were checked, and how many identifying values searched for in how many bytes.
    derived
        Files of the study that were made in this house (labels), which no certificate covers.
    """

    findings: tuple[str, ...]
    objects: int
    values: int
    scanned_bytes: int
    derived: int


def verify_certificate(settings: IntakeSettings, StudyInstanceUID: str, vault: Keeper) -> CertificateVerification:
    """Hash every stored file of a study again, check its header by the profile, and search it for residue.

    Parameters
    ----------
    settings
        Where index, files and certificates are.
    StudyInstanceUID
        The study's new UID.
    vault
        Knows what identified the patient, and the key of the house.

    Raises
    ------
    NotFound
        If the study has no certificate, or the vault does not know it.
    """
    certificate = read_certificate(settings, StudyInstanceUID)
    findings = list(_check_seal(certificate, vault.public_key))
    stored = _list_stored(settings, StudyInstanceUID)
    certified = certificate.objects
    checked = {uid: row for uid, row in stored.items() if uid in certified}
    for uid in certified.keys() - stored.keys():
        findings.append(f"Object {uid} is certified and not in the catalog: it was removed.")
    strangers = [uid for uid, row in stored.items() if uid not in certified and row.deidentification is not None]
    findings += [f"Object {uid} is in the catalog and not certified." for uid in sorted(strangers)]
    profiles = _load_profiles(settings, certificate)
    findings += [f"Profile {name} is not here as it was used: headers cannot be checked by it." for name in
                 sorted({_name(batch.profile) for batch in certificate.batches} - profiles.keys())]  # fmt: skip
    scanner = ResidueScanner(vault.recall_evidence(StudyInstanceUID))
    scanned = 0
    for batch in certificate.batches:
        profile = profiles.get(_name(batch.profile))
        for item in batch.objects:
            if item.SOPInstanceUID not in checked:
                continue
            row = checked[item.SOPInstanceUID]
            path = settings.files / row.path
            try:
                data = path.read_bytes()
            except OSError:
                findings.append(f"Object {item.SOPInstanceUID}: its file is gone or cannot be read.")
                continue
            scanned += len(data)
            for finding in _check_file(data, item.sha256, row.media_type, profile, scanner):
                findings.append(f"Object {item.SOPInstanceUID}: {finding}")
    derived = len(stored) - len(checked) - len(strangers)
    return CertificateVerification(tuple(findings), len(checked), len(scanner.values), scanned, derived)


def _check_seal(certificate: Certificate, public_key: str) -> Iterator[str]:
    if certificate.digest() != certificate.content_sha256:
        yield "The certificate was changed: its content does not have the hash it states."
    if not certificate.signature:
        yield "The certificate is not signed."
    elif not verify_signature(public_key, certificate.content_sha256.encode(), certificate.signature):
        yield "The certificate's signature is not one of this house."
    if certificate.residue_hits:
        yield f"The certificate itself states {certificate.residue_hits} identifying values left."


def _check_file(
    data: bytes, sha256: str, media_type: str, profile: Profile | None, scanner: ResidueScanner
) -> Iterator[str]:
    if hashlib.sha256(data).hexdigest() != sha256:
        yield "its file was changed since it was certified."
    if media_type == DICOM:
        if profile is not None:
            yield from find_breaches(data, profile)
        hits = find_residue(scanner, data, find_pixels(data))
    else:
        hits = find_residue(scanner, data, (0, len(data)))
    if hits:
        yield f"{len(hits)} identifying values are left in it, in {', '.join(name_places(data, hits))}."


def _list_stored(settings: IntakeSettings, StudyInstanceUID: str) -> dict[str, Any]:
    """Return the instances of a study by the place of their files: it names the study their own header states."""
    wanted = (instances.c.SOPInstanceUID, instances.c.path, instances.c.media_type, instances.c.deidentification)
    statement = select(*wanted).where(instances.c.path.startswith(f"{StudyInstanceUID}/", autoescape=True))
    with open_engine(settings).begin() as connection:
        return {row.SOPInstanceUID: row for row in connection.execute(statement)}


def _name(profile: object) -> str:
    assert isinstance(profile, dict)  # noqa: S101  # as parse_certificate read it
    return f"{profile['name']}@{profile['version']}"


def _load_profiles(settings: IntakeSettings, certificate: Certificate) -> dict[str, Profile]:
    """Return the profiles of a certificate that are here unchanged: packaged ones, and the intake's own."""
    loaded: dict[str, Profile] = {}
    for batch in certificate.batches:
        for source in (batch.profile["name"], settings.intake_profile):
            try:
                profile = load_profile(Path(source) if "/" in source else source)
            except AureliusError:
                continue
            if profile.sha256 == batch.profile["sha256"]:
                loaded[_name(batch.profile)] = profile
    return loaded
