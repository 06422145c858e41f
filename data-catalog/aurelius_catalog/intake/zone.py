"""The folders of the identified zone, and how a file moves between them."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.settings import CatalogSettings

SITE_NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")


class Zone:
    """The identified zone on disk: ``inbox``, ``processed``, ``quarantine`` and ``failed``, by site.

    Parameters
    ----------
    settings
        Say where the house keeps its state.
    """

    def __init__(self, settings: CatalogSettings) -> None:
        self.root = settings.identified
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)
        self.inbox = self.root / "inbox"
        self.inbox.mkdir(exist_ok=True)
        self.key = self.root / "key"
        self.database = self.root / "intake.sqlite"
        self.lock = self.root / "intake.lock"
        # De-identified drafts wait on the same file system as the catalog's files, so that they can be moved there.
        self.drafts = settings.files.parent / "drafts"

    def list_sites(self) -> list[str]:
        """Return the sites that have an inbox."""
        return sorted(path.name for path in self.inbox.iterdir() if path.is_dir() and SITE_NAME.fullmatch(path.name))

    def list_strays(self) -> list[Path]:
        """Return what lies in the inbox outside of any site's folder, and so belongs to no one."""
        return [path for path in self.inbox.iterdir() if not (path.is_dir() and SITE_NAME.fullmatch(path.name))]

    def list_waiting(self, site: str) -> Iterator[Path]:
        """Yield the files in a site's inbox, at any depth; names that begin with a dot are still being written."""
        for folder, names, files in os.walk(self.inbox / site):
            names[:] = sorted(_make_readable(folder, name) for name in names if not name.startswith("."))
            for name in sorted(files):
                path = Path(folder, _make_readable(folder, name))
                if not name.startswith(".") and path.is_file() and not path.is_symlink():
                    yield path

    def take_in(self, path: Path, site: str) -> Path:
        """Copy a file or folder into a site's inbox; it appears there whole.

        Raises
        ------
        InvalidRequest
            If the path does not exist or the site's name is not one.
        """
        if not SITE_NAME.fullmatch(site):
            raise InvalidRequest(f"{site!r} is no site: use small letters, digits and hyphens, as in 'north'.")
        if not path.exists():
            raise InvalidRequest(f"{path} does not exist.")
        folder = self.inbox / site
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".copying-", dir=folder) as draft:
            copy = Path(draft, path.resolve().name)
            if path.is_dir():
                shutil.copytree(path, copy, copy_function=shutil.copyfile)
            else:
                shutil.copyfile(path, copy)
            target = find_free(folder / copy.name)
            copy.rename(target)
        return target

    def place(self, kind: str, site: str, name: str, number: int) -> str:
        """Return the place, below the zone, for the file of an item; its number makes it free if need be."""
        path = self.root / kind / site / name
        if path.exists():
            path = path.with_name(f"{path.stem}.item-{number}{path.suffix}")
        return str(path.relative_to(self.root))

    def move(self, site: str, name: str, location: str, reason: str | None) -> None:
        """Move an original out of the inbox, with its reason beside it, and tidy up the folders it leaves empty.

        Doing it again changes nothing.
        """
        source, target = self.inbox / site / name, self.root / location
        target.parent.mkdir(parents=True, exist_ok=True)
        if reason is not None:
            note = target.with_name(f"{_shorten(target.name)}.reason.txt")
            draft = note.with_name(f".{note.name}")
            draft.write_text(reason + "\n")
            draft.replace(note)
        if not target.exists():  # the place was free when it was chosen: what is there now is the file itself
            source.replace(target)
        for parent in source.parents:
            if parent == self.inbox / site:
                break
            with suppress(OSError):  # not empty: others are still to be taken
                parent.rmdir()


def find_free(path: Path) -> Path:
    """Return the path, or the first of ``name.2``, ``name.3`` ... that is not taken."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return free


def _make_readable(folder: str, name: str) -> str:
    """Rename what is not named in UTF-8, as old media are: the name must fit into a database and a report."""
    readable = os.fsencode(name).decode("utf-8", "backslashreplace")
    if readable != name:
        Path(folder, name).rename(find_free(Path(folder, readable)))
    return readable


def _shorten(name: str) -> str:
    """Leave room for a suffix within the 255 bytes a file name may have."""
    return os.fsencode(name)[:235].decode("utf-8", "ignore")
