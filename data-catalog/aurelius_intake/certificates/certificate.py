"""The certificate of a study: what de-identification did to it, object by object, in a form that can be checked again.

One JSON file per study, beside it a page to read, both without a single identifying value. What arrives later is added
as a further batch; what was certified before stays as it was said.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aurelius_catalog.durable_files import SHARED, sync_folder, write_durably
from aurelius_catalog.errors import NotFound
from aurelius_deidentify.header.profile import Profile
from aurelius_deidentify.residue.scanner import ResidueReport
from aurelius_intake.certificates.page import render_page
from aurelius_intake.settings import IntakeSettings

FORMAT = 1


@dataclass(frozen=True)
class CertifiedObject:
    """One object given away.

    Parameters
    ----------
    SOPInstanceUID
        Its new UID.
    sha256
        Hex digest of the stored file.
    pixel_verdict
        What was decided about text in its pixels, without the text.
    residue_hits
        Identifying values found in its bytes that no coincidence explains; anything but 0 is not stored.
    """

    SOPInstanceUID: str
    sha256: str
    pixel_verdict: str
    residue_hits: int


@dataclass(frozen=True)
class CertificateEntry:
    """What came at one time, and the profile it was treated by.

    Parameters
    ----------
    issued_at
        When, in UTC, ISO 8601.
    profile
        Name, version, sha256, edition, options and codes of the profile.
    objects
        Every object.
    attributes
        (tag as eight hexadecimal digits, action code, how often), sequences' items counted under their own tags.
    residue
        What was searched for.
    """

    issued_at: str
    profile: Mapping[str, Any]
    objects: tuple[CertifiedObject, ...]
    attributes: tuple[tuple[str, str, int], ...]
    residue: ResidueReport

    def describe(self) -> dict[str, Any]:
        """Return it as JSON values; `dataclasses.asdict` would copy every one of thousands of values."""
        return {
            "issued_at": self.issued_at,
            "profile": dict(self.profile),
            "objects": [dict(vars(item)) for item in self.objects],
            "attributes": [list(entry) for entry in self.attributes],
            "residue": dict(vars(self.residue)),
        }


@dataclass(frozen=True)
class Certificate:
    """A study's certificate.

    Parameters
    ----------
    StudyInstanceUID
        The study's new UID.
    site
        Where it came from.
    batches
        What came, oldest first.
    content_sha256
        Hex digest of all of the above, in one order and spelling.
    signature, public_key
        The house's Ed25519 signature over that digest, and the key to check it; hex, empty where it is not signed.
    """

    StudyInstanceUID: str
    site: str
    batches: tuple[CertificateEntry, ...]
    content_sha256: str = ""
    signature: str = ""
    public_key: str = ""

    @property
    def objects(self) -> dict[str, CertifiedObject]:
        """Every certified object by its SOPInstanceUID."""
        return {item.SOPInstanceUID: item for batch in self.batches for item in batch.objects}

    @property
    def actions(self) -> Counter[str]:
        """How often each action was taken."""
        counts: Counter[str] = Counter()
        for batch in self.batches:
            for _, action, count in batch.attributes:
                counts[action] += count
        return counts

    @property
    def attributes(self) -> Counter[tuple[str, str]]:
        """How often each action was taken on each attribute."""
        counts: Counter[tuple[str, str]] = Counter()
        for batch in self.batches:
            for tag, action, count in batch.attributes:
                counts[tag, action] += count
        return counts

    @property
    def residue_hits(self) -> int:
        """How many identifying values were left; 0 for what the catalog holds."""
        return sum(item.residue_hits for item in self.objects.values())

    def describe(self) -> dict[str, Any]:
        """Return what is signed, as JSON values."""
        batches = [batch.describe() for batch in self.batches]
        return {"format": FORMAT, "StudyInstanceUID": self.StudyInstanceUID, "site": self.site, "batches": batches}

    def digest(self) -> str:
        """Return the SHA-256 (hex) of what is signed."""
        canonical = json.dumps(self.describe(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the whole certificate as JSON values."""
        seal = {"content_sha256": self.content_sha256, "signature": self.signature, "public_key": self.public_key}
        return {**self.describe(), **seal}


def issue_certificate(
    settings: IntakeSettings,
    *,
    site: str,
    StudyInstanceUID: str,
    profile: Profile,
    objects: Sequence[CertifiedObject],
    touched: Mapping[tuple[str, str], int],
    residue: ResidueReport,
    signer: Callable[[bytes], str] | None,
    public_key: str = "",
) -> Certificate:
    """Write the certificate of a study, or add to the one it has; doing it again changes nothing.

    Parameters
    ----------
    settings
        Say where certificates are kept.
    site, StudyInstanceUID
        Whose study, by its new UID.
    profile
        What it was treated by.
    objects
        What is stored of it now.
    touched
        (tag, action) to how often.
    residue
        What was searched for.
    signer, public_key
        Sign the digest, and say by which key; None leaves the certificate unsigned.
    """
    earlier = _find(settings, StudyInstanceUID)
    if earlier is not None:
        known = earlier.objects
        if all(known.get(item.SOPInstanceUID) == item for item in objects):
            return earlier
    batch = CertificateEntry(
        issued_at=datetime.now(UTC).isoformat(timespec="seconds"),
        profile=_describe_profile(profile),
        objects=tuple(sorted(objects, key=lambda item: item.SOPInstanceUID)),
        attributes=tuple(sorted((tag, action, count) for (tag, action), count in touched.items())),
        residue=residue,
    )
    certificate = Certificate(StudyInstanceUID, site, (*(earlier.batches if earlier else ()), batch))
    digest = certificate.digest()
    signature = signer(digest.encode()) if signer else ""
    sealed = Certificate(StudyInstanceUID, site, certificate.batches, digest, signature, public_key if signer else "")
    folder = settings.certificates
    folder.mkdir(parents=True, exist_ok=True)
    page, content = render_page(sealed.to_json()), json.dumps(sealed.to_json())
    write_durably(folder / f"{StudyInstanceUID}.html", page.encode(), mode=SHARED)
    write_durably(folder / f"{StudyInstanceUID}.json", content.encode(), mode=SHARED)
    return sealed


def read_certificate(settings: IntakeSettings, StudyInstanceUID: str) -> Certificate:
    """Read the certificate of a study.

    Raises
    ------
    NotFound
        If the study has none, or it cannot be read.
    """
    found = _find(settings, StudyInstanceUID)
    if found is None:
        raise NotFound(f"There is no certificate for study {StudyInstanceUID}. Studies are named by their new UID.")
    return found


def parse_certificate(text: str) -> Certificate:
    """Build a certificate of its JSON.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        read = json.loads(text)
        batches = tuple(
            CertificateEntry(
                batch["issued_at"],
                batch["profile"],
                tuple(CertifiedObject(**item) for item in batch["objects"]),
                tuple((str(tag), str(action), int(count)) for tag, action, count in batch["attributes"]),
                ResidueReport(**batch["residue"]),
            )
            for batch in read["batches"]
        )
        seal = {name: str(read[name]) for name in ("content_sha256", "signature", "public_key")}
        return Certificate(str(read["StudyInstanceUID"]), str(read["site"]), batches, **seal)
    except (KeyError, TypeError) as error:
        raise ValueError("This is no certificate of ours.") from error


def _find(settings: IntakeSettings, StudyInstanceUID: str) -> Certificate | None:
    if not StudyInstanceUID.replace(".", "").isdigit():  # it becomes a file name
        return None
    try:
        return parse_certificate((settings.certificates / f"{StudyInstanceUID}.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise NotFound(f"The certificate of study {StudyInstanceUID} is damaged: it was changed by hand.") from error


def forget_certificates(settings: IntakeSettings, StudyInstanceUIDs: Iterable[str]) -> None:
    """Remove the certificates of studies, named by their new UIDs."""
    for uid in StudyInstanceUIDs:
        for suffix in (".json", ".html"):
            (settings.certificates / f"{uid}{suffix}").unlink(missing_ok=True)
    if settings.certificates.is_dir():
        sync_folder(settings.certificates)


def _describe_profile(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "version": profile.version,
        "sha256": profile.sha256,
        "edition": profile.edition,
        "options": sorted(profile.options),
        "codes": [list(code) for code in profile.codes],
    }
