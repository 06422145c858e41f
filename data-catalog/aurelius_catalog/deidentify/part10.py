"""Part 10 files in, Part 10 files out: reading with suspicion, writing valid."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

from pydicom import FileDataset, dcmread, dcmwrite
from pydicom.errors import InvalidDicomError

from aurelius_catalog.deidentify.dataset import Deidentifier
from aurelius_catalog.errors import NotDeidentifiable

DAMAGED = "The file is damaged ({}) and was not taken apart."


def deidentify_file(source: Path, target: Path, deidentifier: Deidentifier) -> None:
    """Write the de-identified version of a file; the same file and key give the same bytes.

    Parameters
    ----------
    source
        An identified Part 10 file; it is only read.
    target
        Where to write; must not matter to anyone until this function has returned.
    deidentifier
        Key, site and profile.

    Raises
    ------
    NotDeidentifiable
        If the file cannot be read or written with certainty. The message holds no value of the file.
    """
    write_deidentified(read_identified(source), target, deidentifier)


def write_deidentified(dataset: FileDataset, target: Path, deidentifier: Deidentifier) -> None:
    """Write the de-identified version of an object that was read already; see `deidentify_file`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values, and values identify
            result = deidentifier.deidentify(dataset)
            implicit, little = dataset.original_encoding
            # Forced, because pydicom refuses transfer syntaxes younger than itself; nothing is re-encoded anyway.
            dcmwrite(target, result, implicit_vr=implicit, little_endian=little, force_encoding=True)
    except (NotDeidentifiable, OSError):
        raise
    except Exception as error:
        # Whatever a broken file makes the parser stumble over, its message may quote the file.
        raise NotDeidentifiable(DAMAGED.format(type(error).__name__)) from None


def read_identified(source: Path | BytesIO) -> FileDataset:
    """Read a Part 10 file.

    Raises
    ------
    NotDeidentifiable
        If it is none, or ends too early.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            dataset = dcmread(source)
    except InvalidDicomError:
        raise NotDeidentifiable("This is not a DICOM Part 10 file.") from None
    except EOFError:
        raise NotDeidentifiable("The file ends in the middle of an element.") from None
    except OSError:
        raise
    except Exception as error:
        raise NotDeidentifiable(DAMAGED.format(type(error).__name__)) from None
    if any("End of file reached" in str(warning.message) for warning in caught):
        raise NotDeidentifiable("The file ends in the middle of an element.")
    return dataset
