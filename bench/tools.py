"""Other people's de-identification tools, each as one function from a file to a file."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_keyword, dictionary_VR

from aurelius_deidentify.header import load_table
from aurelius_deidentify.header.profile import RESOLVED

Tool = Callable[[Path, Path], None]


def copy_parsed(source: Path, target: Path) -> None:
    """Read and write with pydicom and change nothing: what any tool built on it pays."""
    pydicom.dcmread(source).save_as(target)


def run_dicom_anonymizer(source: Path, target: Path) -> None:
    """Anonymize with Kitware's dicom-anonymizer and its default rules."""
    from dicomanonymizer import anonymize_dicom_file

    anonymize_dicom_file(str(source), str(target))


def run_dicognito(source: Path, target: Path) -> None:
    """Anonymize with dicognito, one anonymizer for all files, as its command line does."""
    dataset = pydicom.dcmread(source)
    _open_dicognito().anonymize(dataset)
    dataset.save_as(target)


def run_deid(source: Path, target: Path) -> None:
    """Anonymize with pydicom/deid and a recipe made of Table E.1-1."""
    from deid.dicom import replace_identifiers

    [result] = replace_identifiers([str(source)], deid=_open_recipe(), remove_private=True, save=False)
    result.save_as(target)


TOOLS: dict[str, Tool] = {
    "dicom-anonymizer": run_dicom_anonymizer,
    "dicognito": run_dicognito,
    "deid": run_deid,
}


def name_tool(name: str) -> str:
    """Return a tool's name with its installed version."""
    from importlib.metadata import version

    return f"{name} {version(name)}"


def silence() -> None:
    """Keep what the tools log, and pydicom's remarks about odd values, out of the measurement."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


@cache
def _open_dicognito() -> object:
    from dicognito.anonymizer import Anonymizer

    return Anonymizer(seed="bench")


@cache
def _open_recipe() -> object:
    from deid.config import DeidRecipe

    with tempfile.NamedTemporaryFile("w", suffix=".deid") as file:
        file.write("FORMAT dicom\n\n%header\n\n" + "\n".join(_write_rules()) + "\n")
        file.flush()
        return DeidRecipe(deid=file.name)


def _write_rules() -> list[str]:
    """Return one line of the recipe language for each row of the table that PS3.6 has a keyword for."""
    rules = ["ADD PatientIdentityRemoved YES"]
    for row in load_table():
        try:
            tag = int(row.pattern, 16)
            keyword, VR = dictionary_keyword(tag), dictionary_VR(tag)
        except (ValueError, KeyError):
            continue
        action = RESOLVED.get(row.basic, row.basic)
        if action == "X" or VR == "SQ":  # the language has no word for the items of a sequence
            rules.append(f"REMOVE {keyword}")
        elif action == "U":
            rules.append(f"REPLACE {keyword} deid_func:pydicom_uuid")
        elif action == "Z":
            rules.append(f"BLANK {keyword}")
        else:
            rules.append(f"REPLACE {keyword} {_DUMMIES.get(VR, 'REMOVED')}")
    return rules


_DUMMIES = {"DA": "19000101", "TM": "000000", "DT": "19000101000000", "DS": "0", "IS": "0", "AS": "000Y"}
