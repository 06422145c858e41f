"""Descriptions inside slide files, cleaned by an allow-list: what describes the image stays, people and dates go."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from aurelius_deidentify.data_files import read_lines, read_rows
from aurelius_deidentify.errors import NotDeidentifiable

#: Keys of Aperio's description whose value is a number about the optics or the geometry of the scan.
APERIO_KEYS = frozenset(read_lines(__package__, "aperio_keys.txt"))
#: With less than the eight digits of a date.
_NUMBER = re.compile(r"-?\d{1,7}(\.\d{1,7})?")
#: Words of the first part of the description: program, sizes, offsets, codec and quality.
_APERIO_WORD = re.compile(
    r"Aperio|Image|Library|Leica|Biosystems|GT450|DX|v\d{1,3}(\.\d{1,4}){0,3}|->|-"
    r"|[\[(]?\d{1,6}[x,]\d{1,6}[\])]?|J(PEG|2K)/[A-Z0-9]{2,5}|Q=\d{1,3}|LZW|RAW|NONE"
)
_APERIO_GAP = re.compile(r"([\s;]+)")
_WHITE = {"", " ", "\r\n", "\n", "\r", ";", " \r\n", " \n", ";\r\n"}

#: Elements of OME-XML (schema 2016-06) that say how the pixels are arranged, and the attributes they keep.
OME_ATTRIBUTES = {row["element"]: row["attributes"].split() for row in read_rows(__package__, "ome_attributes.csv")}
#: Values an attribute may have: numbers, enumerations and short units.
_OME_VALUE = re.compile(
    r"-?\d{1,12}(\.\d{1,16})?([eE][+-]?\d{1,3})?|true|false|XY[CTZ]{3}|u?int(8|16|32)|float|double|bit|complex"
    r"|double-complex|[µnmpc]?m|Å|inch|pixel|reference frame|[mµn]?s|(Image|Pixels|Channel)(:\d{1,6}){1,2}"
)


def clean_aperio(text: str) -> str:
    """Return Aperio's ImageDescription with nothing but the program, sizes, codec and optical numbers.

    Gone are Filename, Date, Time, User, ScanScope ID, ImageID, Title, Barcode, and every key not known.
    """
    head, *pairs = text.split("|")
    kept = [_clean_head(head)]
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key.strip() in APERIO_KEYS and _NUMBER.fullmatch(value.strip()):
            kept.append(f"{key.strip()} = {value.strip()}")
    return "|".join(kept)


def list_aperio_values(text: str) -> set[str]:
    """Return the values that `clean_aperio` takes away."""
    pairs = (pair.partition("=") for pair in text.split("|")[1:])
    return {
        value.strip()
        for key, _, value in pairs
        if not (key.strip() in APERIO_KEYS and _NUMBER.fullmatch(value.strip())) and value.strip()
    }


def _clean_head(head: str) -> str:
    pieces = _APERIO_GAP.split(head)
    kept = []
    for piece, gap in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        known = piece if _APERIO_WORD.fullmatch(piece) else ""
        kept.append(known + (gap if gap in _WHITE and (known or "\n" in gap) else " " if known else ""))
    return "".join(kept)


def is_ome(text: str) -> bool:
    """Whether a description is OME-XML."""
    return text.rstrip().endswith("OME>") and "<OME" in text[:2000]


def clean_ome(text: str, kept_ifds: dict[int, int]) -> str:
    """Return OME-XML that says how the pixels are arranged, and nothing else.

    Parameters
    ----------
    text
        The description of the first directory.
    kept_ifds
        Old to new number of every directory that stays; images with none of them go.

    Raises
    ------
    NotDeidentifiable
        If it is not XML, or describes an image spread over several files.
    """
    if "<!" in text.replace("<!--", ""):
        raise NotDeidentifiable("The OME-XML of the slide declares entities, which no microscope writes.")
    try:
        root = ET.fromstring(text)  # noqa: S314 - it declares no entities
    except ET.ParseError:
        raise NotDeidentifiable("The OME-XML of the slide cannot be read. Export the slide anew.") from None
    names = {node.get("FileName") for node in root.iter() if _name(node) == "UUID"} - {None}
    if len(names) > 1:
        raise NotDeidentifiable("The OME-TIFF is spread over several files. Export it as a single file.")
    cleaned = _clean_node(root, kept_ifds)
    for image in list(cleaned):
        if _name(image) == "Image" and not any(_name(node) == "TiffData" for node in image.iter()):
            cleaned.remove(image)
    namespace = root.tag[1:].partition("}")[0] if root.tag.startswith("{") else ""
    if namespace:
        ET.register_namespace("", namespace)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(cleaned, encoding="unicode")


def _clean_node(node: ET.Element, kept_ifds: dict[int, int]) -> ET.Element:
    kept = {
        key: value for key in OME_ATTRIBUTES[_name(node)] if (value := node.get(key)) and _OME_VALUE.fullmatch(value)
    }
    if _name(node) == "TiffData":
        kept["IFD"] = str(kept_ifds[int(kept.get("IFD", "0"))])
    result = ET.Element(node.tag, kept)
    for child in node:
        if _name(child) not in OME_ATTRIBUTES:
            continue
        if _name(child) == "TiffData" and int(child.get("IFD") or 0) not in kept_ifds:
            continue
        result.append(_clean_node(child, kept_ifds))
    return result


def _name(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]
