"""Archives and directories of files: what holds or lists objects without being one."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pydicom import dcmread

from aurelius_catalog.durable_files import sync_file_system
from aurelius_catalog.errors import NotDeidentifiable
from aurelius_catalog.hosting.free_space import has_room
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import find_free

ZIP_MARK = b"PK\x03\x04"
#: More members, or more bytes for each byte of the archive, are taken for an attack (DEFLATE reaches 1,032).
MOST_MEMBERS = 200_000
LARGEST_RATIO = 250
ROOM_BYTES = 64 * 2**20
#: Archives in archives in archives.
DEEPEST = 3
DRAFT = ".unpacking-"
BLOCK = 1 << 20


def is_archive(path: Path, start: bytes) -> bool:
    """Whether a file is a zip archive by its first bytes and its name; documents are zip files too, by other names."""
    return start[:4] == ZIP_MARK and path.suffix.lower() in (".zip", "")


def unpack(path: Path, draft: Path, settings: IntakeSettings) -> int:
    """Unpack an archive into a folder that nobody looks into yet; returns how many files came out.

    Parameters
    ----------
    path
        The archive.
    draft
        Folder to make; what an earlier attempt left there is dropped.
    settings
        Say how much room must stay free.

    Raises
    ------
    OSError
        If there is no room for what is in it.
    NotDeidentifiable
        If the archive is damaged, locked, reaches out of its folder, or grows beyond all measure; nothing is left.
    """
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            size = _check(path, members)
            if not has_room(settings, size):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for member in members:
                _extract(archive, member, draft)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError, ValueError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise NotDeidentifiable(f"The archive is damaged ({type(error).__name__}): ask for it again.") from None
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync_file_system(draft)
    return len(members)


def reveal(draft: Path, archive: Path) -> None:
    """Let what was unpacked be seen beside the archive; doing it again changes nothing."""
    if draft.exists():
        draft.rename(find_free(archive.parent / f"{archive.stem}-unpacked"))


def name_draft(archive: Path, number: int) -> Path:
    """Return the folder an archive is unpacked into: its name begins with a dot, so the inbox passes it over."""
    return archive.parent / f"{DRAFT}{number}"


def count_listed(content: bytes | Path) -> int:
    """Return how many files a DICOMDIR lists (PS3.3 section F.3).

    Raises
    ------
    NotDeidentifiable
        If it cannot be read.
    """
    try:
        directory = dcmread(content, specific_tags=["DirectoryRecordSequence"])
        return sum("ReferencedFileID" in record for record in directory.get("DirectoryRecordSequence") or [])
    except Exception as error:
        raise NotDeidentifiable(f"The DICOMDIR is damaged ({type(error).__name__}).") from None


def _check(path: Path, members: list[zipfile.ZipInfo]) -> int:
    """Refuse what is not meant well; returns how many bytes will come out."""
    if sum(part.endswith("-unpacked") or "-unpacked." in part for part in path.parts) >= DEEPEST:
        raise NotDeidentifiable("Archives lie in archives, too deep to be meant well. A person must look.")
    size = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or size > LARGEST_RATIO * path.stat().st_size + ROOM_BYTES:
        raise NotDeidentifiable("The archive would grow beyond all measure. A person must look.")
    for member in members:
        if member.flag_bits & 1:
            raise NotDeidentifiable("The archive is locked with a password: unpack it and send what is in it.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise NotDeidentifiable("The archive holds links, which could lead anywhere. A person must look.")
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise NotDeidentifiable("The archive names places outside of itself. A person must look.")
    return size


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, draft: Path) -> None:
    """Write one member; a name that begins with a dot would be passed over by the inbox, so it loses the dot."""
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    target = draft.joinpath(*(_tame(part) for part in parts))
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, find_free(target).open("wb") as file:
        left = member.file_size
        while block := source.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile("longer than it says")
            file.write(block)


def _tame(part: str) -> str:
    readable = "".join(sign if sign.isprintable() else "_" for sign in part)
    readable = f"_{readable[1:]}" if readable.startswith(".") else readable
    return os.fsencode(readable)[:200].decode("utf-8", "ignore") or "_"
