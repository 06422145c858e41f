"""The way back from pseudonyms to people, sealed; and the two secrets of the house, sealed with it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Table, delete, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from aurelius_catalog.errors import KeyUnusable, NotFound
from aurelius_deidentify.header.pseudonyms import PseudonymKey
from aurelius_intake.database import migrate, open_database, writing
from aurelius_intake.vault.encryption import KEY_BYTES, Cipher, DecryptionFailed
from aurelius_intake.vault.tables import SEALED, metadata, name_place, notices, patients, secrets, studies

#: What the entry ``check`` holds: whether it opens says whether a key is the right one.
CHECK = b"the right key"


@dataclass(frozen=True)
class Identity:
    """Who is behind a pseudonym; its repr says nothing, so that no log can."""

    site: str
    PatientID: str = field(repr=False)
    PatientNames: tuple[str, ...] = field(repr=False)


class Vault:
    """An open vault. Processes and threads may share the file.

    Parameters
    ----------
    file
        The SQLite file.
    list_keys
        Gives the keys to try; asked again when another process has rotated the key meanwhile.

    Raises
    ------
    KeyUnusable
        If none of the keys opens it.
    """

    def __init__(self, file: Path, list_keys: Callable[[], Sequence[bytes]]) -> None:
        self.file = file
        self._list_keys = list_keys
        self._engine = open_database(file)
        with writing(self._engine) as connection:
            migrate(connection, "vault", metadata)
        self._cipher = Cipher(list_keys()[0])
        with self.begin() as connection:
            self.pseudonyms = PseudonymKey(self._open_secret(connection, "pseudonyms"))
            self._signer = Ed25519PrivateKey.from_private_bytes(self._open_secret(connection, "signing"))

    def __repr__(self) -> str:
        return f"<Vault {self.file.name}>"

    # -- signing ---------------------------------------------------------------------------------

    @property
    def public_key(self) -> str:
        """Public half of the house's signing key (Ed25519, hex)."""
        return self._signer.public_key().public_bytes_raw().hex()

    def sign(self, data: bytes) -> str:
        """Return the Ed25519 signature (hex) of the house over ``data``."""
        return self._signer.sign(data).hex()

    # -- remembering -----------------------------------------------------------------------------

    def remember(
        self,
        *,
        site: str,
        PatientID: str,
        PatientName: str,
        pseudonym: str,
        StudyInstanceUID: str,
        uids: Mapping[str, str],
        evidence: Collection[str],
    ) -> None:
        """Keep the way back from one study, or from more of it; doing it again changes nothing.

        Parameters
        ----------
        site, PatientID, PatientName
            The patient as the hospital knows them.
        pseudonym, StudyInstanceUID
            Patient and study as the catalog knows them.
        uids
            Every original UID and its new one.
        evidence
            Every original value that identifies.
        """
        with self.begin() as connection:
            known = self._find(connection, patients, pseudonym) or {"names": []}
            names = sorted({*known["names"], PatientName} - {""})
            patient = {"site": site, "PatientID": PatientID, "names": names}
            if patient != known:
                self._put(connection, patients, pseudonym, patient)
            study = self._find(connection, studies, StudyInstanceUID) or {"uids": {}, "evidence": []}
            merged = {"uids": {**study["uids"], **uids}, "evidence": sorted({*study["evidence"], *evidence})}
            if merged != study:
                self._put(connection, studies, StudyInstanceUID, merged, pseudonym=pseudonym)

    def recall_evidence(self, StudyInstanceUID: str) -> set[str]:
        """Return every original value of a study (named by its new UID) that identifies.

        Raises
        ------
        NotFound
            If the vault knows no such study.
        """
        with self.begin() as connection:
            study = self._find(connection, studies, StudyInstanceUID)
        if study is None:
            raise NotFound(f"The vault knows no study {StudyInstanceUID}.")
        return set(study["evidence"])

    def recall_uids(self, pseudonym: str) -> dict[str, str]:
        """Return every original UID of a patient and its new one; empty for a patient the vault does not know."""
        with self.begin() as connection:
            mine = select(studies.c.StudyInstanceUID).where(studies.c.pseudonym == pseudonym)
            found = [self._find(connection, studies, uid) or {} for uid in connection.execute(mine).scalars().all()]
        return {old: new for study in found for old, new in study["uids"].items()}

    def recall_identity(self, pseudonym: str) -> Identity:
        """Return who is behind a pseudonym. For people this takes two stewards: see `Openings`.

        Raises
        ------
        NotFound
            If the vault knows no such pseudonym.
        """
        with self.begin() as connection:
            return self.read_identity(connection, pseudonym)

    def read_identity(self, connection: Connection, pseudonym: str) -> Identity:
        """Do as `recall_identity` does, within a transaction that is open."""
        patient = self._find(connection, patients, pseudonym)
        if patient is None:
            raise NotFound(f"The vault knows no patient {pseudonym}.")
        return Identity(patient["site"], patient["PatientID"], tuple(patient["names"]))

    def knows(self, pseudonym: str) -> bool:
        """Whether the vault holds a patient."""
        with self.begin() as connection:
            return self._find(connection, patients, pseudonym) is not None

    def forget(self, pseudonym: str) -> None:
        """Remove a patient and all their studies; doing it again changes nothing."""
        with self.begin() as connection:
            connection.execute(delete(studies).where(studies.c.pseudonym == pseudonym))
            connection.execute(delete(patients).where(patients.c.pseudonym == pseudonym))

    def list_patients(self, connection: Connection) -> Iterator[tuple[str, Identity]]:
        """Yield every pseudonym and who is behind it."""
        for pseudonym in connection.execute(select(patients.c.pseudonym).order_by(patients.c.pseudonym)).scalars():
            yield pseudonym, self.read_identity(connection, pseudonym)

    def list_uids(self, connection: Connection) -> Iterator[tuple[str, str]]:
        """Yield every original UID and its new one; those that several studies share, several times."""
        rows = connection.execute(select(studies.c.StudyInstanceUID).order_by(studies.c.StudyInstanceUID))
        for uid in rows.scalars():
            study = self._find(connection, studies, uid) or {"uids": {}}
            yield from sorted(study["uids"].items())

    # -- public notices --------------------------------------------------------------------------

    def post_notice(self, name: str, value: str) -> None:
        """Keep a value in the clear, where it can be read without the key."""
        with self.begin() as connection:
            write_notice(connection, name, value)

    def read_notice(self, name: str) -> str | None:
        """Return a value that is kept in the clear; None if there is none of this name."""
        with self.begin() as connection:
            return connection.execute(select(notices.c.value).where(notices.c.name == name)).scalar()

    # -- the key ---------------------------------------------------------------------------------

    def rotate(self, new_key: bytes) -> None:
        """Seal everything anew, in one transaction: until it ends the old key opens the vault, from then on the new.

        Raises
        ------
        KeyUnusable
            If the new key is no key.
        """
        if len(new_key) != KEY_BYTES:
            raise KeyUnusable(f"A key has {KEY_BYTES} bytes, this one {len(new_key)}.")
        fresh = Cipher(new_key)
        with self.begin() as connection:
            for table, name in SEALED:
                for key in connection.execute(select(name)).scalars().all():
                    place = name_place(table, key)
                    sealed = connection.execute(select(table.c.sealed).where(name == key)).scalar_one()
                    renewed = fresh.seal(self._cipher.open(sealed, place), place)
                    connection.execute(update(table).where(name == key).values(sealed=renewed))
        self._cipher = fresh
        with closing(self._engine.raw_connection()) as raw:  # so that nothing of the old key's is left in the journal
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # -- inside ----------------------------------------------------------------------------------

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that holds the one writer's place, with the key that is in force now.

        Raises
        ------
        KeyUnusable
            If the key was changed and the new one is not at hand, or a sealed value was tampered with.
        """
        try:
            with writing(self._engine) as connection:
                self._check_key(connection)
                yield connection
        except DecryptionFailed as error:
            raise KeyUnusable(
                f"The vault's entry {error} does not open: it was changed or moved. Restore vault.sqlite from your "
                "safe copy."
            ) from error

    def encrypt_row(self, table: Table, key: object, content: Any) -> bytes:
        """Return a value sealed for its row."""
        return self._cipher.seal(zlib.compress(json.dumps(content).encode(), 1), name_place(table, key))

    def decrypt_row(self, table: Table, key: object, sealed: bytes) -> Any:
        """Return the value of a row."""
        return json.loads(zlib.decompress(self._cipher.open(sealed, name_place(table, key))))

    def _find(self, connection: Connection, table: Table, key: str) -> Any:
        [column] = table.primary_key.columns
        sealed = connection.execute(select(table.c.sealed).where(column == key)).scalar()
        return None if sealed is None else self.decrypt_row(table, key, sealed)

    def _put(self, connection: Connection, table: Table, key: str, content: Any, **columns: str) -> None:
        [column] = table.primary_key.columns
        sealed = self.encrypt_row(table, key, content)
        statement = upsert(table).values({column.name: key, "sealed": sealed, **columns})
        connection.execute(statement.on_conflict_do_update([column], set_={"sealed": sealed}))

    def _open_secret(self, connection: Connection, name: str) -> bytes:
        sealed = connection.execute(select(secrets.c.sealed).where(secrets.c.name == name)).scalar_one()
        return self._cipher.open(sealed, name_place(secrets, name))

    def _check_key(self, connection: Connection) -> None:
        """Use the key the vault is sealed with now; another process may have rotated it since."""
        sealed = connection.execute(select(secrets.c.sealed).where(secrets.c.name == "check")).scalar_one()
        if is_opened_by(self._cipher, sealed):
            return
        for key in self._list_keys():
            if is_opened_by(cipher := Cipher(key), sealed):
                self._cipher = cipher
                return
        raise KeyUnusable(
            "The vault does not open with this key. Restore the key it was last sealed with (AURELIUS_VAULT_KEY, or "
            "the key file) from your safe copy, then start again."
        )


def is_opened_by(cipher: Cipher, sealed: bytes) -> bool:
    """Whether a cipher has the key that the entry ``check`` was sealed with."""
    try:
        return cipher.open(sealed, name_place(secrets, "check")) == CHECK
    except DecryptionFailed:
        return False


def write_notice(connection: Connection, name: str, value: str) -> None:
    """Keep a value in the clear, in place of the one it had."""
    statement = upsert(notices).values(name=name, value=value)
    connection.execute(statement.on_conflict_do_update([notices.c.name], set_={"value": value}))
