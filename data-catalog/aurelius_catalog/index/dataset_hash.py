"""The content of a frozen dataset, of which its id is the hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

#: The first line of what is hashed; another way of hashing would have another.
RULE = "aurelius dataset 1"


def name_content(objects: Iterable[str], labels: Iterable[str], profiles: Iterable[tuple[str, str]]) -> str:
    """Return the id of a dataset: the same for the same content, whatever it is called and whoever froze it.

    It is the SHA-256 (hex) of a text that anybody can make again from the list of the objects: the line of `RULE`,
    then ``object <sha256>`` per file of a series, ``label <sha256>`` per label version, ``profile <name> <sha256>`` per
    de-identification profile; sorted, each ended by a newline.

    Parameters
    ----------
    objects, labels
        SHA-256 (hex) of each file.
    profiles
        Name and SHA-256 (hex) of the profiles the files were de-identified by.
    """
    lines = [f"object {sha256}" for sha256 in objects]
    lines += [f"label {sha256}" for sha256 in labels]
    lines += [f"profile {name} {sha256}" for name, sha256 in profiles]
    digest = hashlib.sha256(f"{RULE}\n".encode())
    for line in sorted(lines):
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()
