"""Image ids that carry their own permission.

Slicer downloads an image without its login (its download code knows no headers), so the id of a case is a ticket:
``<SeriesInstanceUID>~<code>``, where the code is a keyed hash over series, person and day. Slicer echoes the id in
every later call, where the login is checked as well.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

from aurelius_catalog.access.person import Person
from aurelius_catalog.durable_files import create_durably
from aurelius_catalog.errors import NotFound, PermissionDenied

#: Days for which a ticket alone opens an image: the day it was made and the next (a session across midnight).
DOWNLOAD_DAYS = 2
#: Days for which a logged-in person's old ticket is still understood: Slicer may stay open over a holiday.
SAVE_DAYS = 60
#: Seconds after the last logged-in call for which a person's tickets open images.
REMEMBER_S = 86_400.0
_ID = re.compile(r"(?P<uid>[0-9]+(?:\.[0-9]+)*)(?:~(?P<code>[0-9a-f]{32}))?")


class Tickets:
    """Makes tickets and reads them.

    Parameters
    ----------
    key_file
        File with the key, made on first use, readable by this user only. With the same key, ids that Slicer holds
        outlive a restart of the server.
    """

    def __init__(self, key_file: Path) -> None:
        self._key = _load_key(key_file)
        self._people: dict[str, tuple[Person, float]] = {}
        self._lock = threading.Lock()

    def remember(self, person: Person) -> None:
        """Note the rights of a person who has just shown a valid login; tickets are checked against the newest."""
        with self._lock:
            self._people[person.name] = (person, time.monotonic())

    def make(self, person: Person, SeriesInstanceUID: str) -> str:
        """Return the id under which this person's Slicer knows the series."""
        return f"{SeriesInstanceUID}~{self._code(person.name, SeriesInstanceUID, _today())}"

    def read(self, image_id: str, person: Person) -> str:
        """Return the series an id stands for, when ``person`` is logged in.

        Raises
        ------
        NotFound
            If this server did not issue the id.
        PermissionDenied
            If it is a ticket of somebody else.
        """
        uid, code = _split(image_id)
        if code is not None and not self._is_code_of(person.name, uid, code, SAVE_DAYS):
            raise PermissionDenied("This image id was given to somebody else. Press Next Sample to get your own.")
        return uid

    def redeem(self, image_id: str) -> tuple[Person, str]:
        """Return the person an id was given to, and its series, when nobody is logged in.

        Raises
        ------
        NotFound
            If this server did not issue the id.
        PermissionDenied
            If the ticket is too old, invented, or its person has not been seen since the server started.
        """
        uid, code = _split(image_id)
        earliest = time.monotonic() - REMEMBER_S
        with self._lock:
            self._people = {name: known for name, known in self._people.items() if known[1] >= earliest}
            people = [person for person, _ in self._people.values()]
        for person in people:
            if code is not None and self._is_code_of(person.name, uid, code, DOWNLOAD_DAYS):
                return person, uid
        raise PermissionDenied("This image link is not valid, or no longer. Press Next Sample to get a new one.")

    def _is_code_of(self, name: str, uid: str, code: str, days: int) -> bool:
        today = _today()
        return any(hmac.compare_digest(code, self._code(name, uid, today - age)) for age in range(days))

    def _code(self, name: str, uid: str, day: int) -> str:
        return hmac.new(self._key, f"{day} {uid} {name}".encode(), hashlib.sha256).hexdigest()[:32]


def _today() -> int:
    return int(time.time() // 86_400)


def _split(image_id: str) -> tuple[str, str | None]:
    match = _ID.fullmatch(image_id)
    if match is None:
        raise NotFound("There is no such image: an image id is what Next Sample gave out.")
    return match["uid"], match["code"]


def _load_key(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with suppress(FileExistsError):  # another process was quicker: its key counts
            create_durably(path, secrets.token_bytes(32))
    return path.read_bytes()
