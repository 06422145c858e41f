"""The de-identifier of a site, with its key and its profile."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset, FileDataset

from aurelius_deidentify.header.profile import Profile
from aurelius_deidentify.header.pseudonyms import PseudonymKey
from aurelius_deidentify.header.study_session import StudySession


class Deidentifier:
    """De-identifies the objects of a site with one key and one profile.

    Parameters
    ----------
    key
        Source of pseudonyms, UIDs and date shifts.
    site
        The clinic the objects come from; part of the patient's pseudonym.
    profile
        The action for each attribute.
    """

    def __init__(self, key: PseudonymKey, site: str, profile: Profile) -> None:
        self.key, self.site, self.profile = key, site, profile

    def open_study(self) -> StudySession:
        """Start on the objects of one study."""
        return StudySession(self.key, self.site, self.profile)

    def deidentify(self, source: FileDataset) -> Dataset:
        """Build the de-identified data set of one object, file meta included.

        Pixel data is handed on as the bytes it is.

        Raises
        ------
        NotDeidentifiable
            If the object lacks one of the UIDs that make it an object, or a transfer syntax.
        """
        return self.open_study().rewrite_dataset(source)


def deidentify_file(source: Path, target: Path, deidentifier: Deidentifier) -> None:
    """Write the de-identified version of a file; the same file, key and profile give the same bytes.

    Parameters
    ----------
    source
        An identified Part 10 file; it is only read.
    target
        Where to write; incomplete until this function has returned.
    deidentifier
        Key, site and profile.

    Raises
    ------
    NotDeidentifiable
        If the file cannot be read or written with certainty. The message holds no value of the file.
    """
    target.write_bytes(deidentifier.open_study().rewrite(source.read_bytes()).join())
