"""The folders of the identified zone, and how a file moves between them."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from aurelius_catalog.durable_files import sync_folder
from aurelius_catalog.errors import InvalidRequest
from aurelius_intake.settings import IntakeSettings

SITE_NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")


class Zone:
    """The identified zone on disk: ``inbox``, ``processed``, ``quarantine`` and ``failed``, by site.

    Parameters
    ----------
    settings
        Say where the house keeps its state.
    """

    def __init__(self, settings: IntakeSettings) -> None:
        self.root = settings.identified
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)
        self.inbox = self.root / "inbox"
        self.inbox.mkdir(exist_ok=True)
        self.database = self.root / "intake.sqlite"
        self.lock = self.root / "intake.lock"
        self.workers_lock = self.root / "workers.lock"
        # De-identified drafts wait on the same file system as the catalog's files, so that they can be moved there.
        self.drafts = settings.files.parent / "drafts"

    def list_sites(self) -> list[str]:
        """Return the sites that have an inbox."""
        return sorted(path.name for path in self.inbox.iterdir() if path.is_dir() and SITE_NAME.fullmatch(path.name))

    def list_strays(self) -> list[str]:
        """Return, below the inbox, what belongs to no site, and links, which are not followed."""
        strays = [path for path in self.inbox.iterdir() if not (path.is_dir() and SITE_NAME.fullmatch(path.name))]
        for site in self.list_sites():
            strays += [Path(entry.path) for entry in _walk(str(self.inbox / site)) if entry.is_symlink()]
        return sorted(str(path.relative_to(self.inbox)) for path in strays)

    def list_waiting(self, site: str) -> Iterator[Path]:
        """Yield the files in a site's inbox, at any depth; names that begin with a dot are still being written."""
        for entry in _walk(str(self.inbox / site)):
            if entry.is_file(follow_symlinks=False):
                yield Path(entry.path)

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
        location = f"{kind}/{site}/{name}"
        if os.path.lexists(self.root / location):
            path = Path(location)
            location = str(path.with_name(f"{path.stem}.item-{number}{path.suffix}"))
        return location

    def move(self, site: str, names: Sequence[str], location: str, reason: str | None) -> None:
        """Move an original out of the inbox, with its reason beside it; doing it again changes nothing.

        Parameters
        ----------
        site
            The clinic.
        names
            The file below its inbox, and those that belong to it.
        location
            Where the first goes, below the zone; the others go beside it, as they lay beside it.
        reason
            Is written to a file of its own.
        """
        target = self.root / location
        if reason is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            note = _name_note(target)
            draft = note.with_name(f".{note.name}")
            draft.write_text(reason + "\n")
            draft.replace(note)
        inbox = self.inbox / site
        _rename(inbox / names[0], target)
        for name in names[1:]:
            beside = target.parent / os.path.relpath(name, os.path.dirname(names[0]) or ".")
            _rename(inbox / name, beside)

    def discard(self, names: Sequence[str], location: str) -> None:
        """Remove an original for good, with what `move` put beside it; doing it again changes nothing."""
        target = self.root / location
        beside = (os.path.relpath(name, os.path.dirname(names[0]) or ".") for name in names[1:])
        paths = [target, *(target.parent / name for name in beside), _name_note(target)]
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            self._remove_empty(folder)

    def _remove_empty(self, folder: Path) -> None:
        """Remove folders that are left empty, below those of kind and site: their names identify as well."""
        while len(folder.relative_to(self.root).parts) > 2:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:  # not empty
                break
            folder = folder.parent
        if folder.is_dir():
            sync_folder(folder)

    def tidy(self, site: str, names: Iterable[str]) -> None:
        """Remove the folders of the inbox that files left empty."""
        for folder in {os.path.dirname(name) for name in names}:
            while folder:
                try:
                    os.rmdir(self.inbox / site / folder)
                except FileNotFoundError:
                    pass
                except OSError:  # not empty: others are still to be taken
                    break
                folder = os.path.dirname(folder)


def find_free(path: Path) -> Path:
    """Return the path, or the first of ``name.2``, ``name.3`` ... that is not taken."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return free


def _rename(source: Path, target: Path) -> None:
    if os.path.lexists(target):  # the place was free when it was chosen: what is there now is the file itself
        return
    try:
        os.rename(source, target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder that is none itself, in order; what begins with a dot is left alone."""
    with os.scandir(folder) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    if any(not entry.name.isprintable() for entry in entries) and _make_readable(folder, entries):
        yield from _walk(folder)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            with suppress(FileNotFoundError):
                yield from _walk(entry.path)
        else:
            yield entry


def _make_readable(folder: str, entries: Iterable[os.DirEntry[str]]) -> bool:
    """Rename what is not named in UTF-8, as old media are: a name must fit into a database and a report."""
    renamed = False
    for entry in entries:
        readable = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
        if readable != entry.name:
            os.rename(entry.path, find_free(Path(folder, readable)))
            renamed = True
    return renamed


def _name_note(path: Path) -> Path:
    """Return the place of the reason, leaving room for its suffix within the 255 bytes a file name may have."""
    return path.with_name(os.fsencode(path.name)[:235].decode("utf-8", "ignore") + ".reason.txt")
