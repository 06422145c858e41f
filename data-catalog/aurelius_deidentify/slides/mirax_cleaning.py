"""MRXS slides of 3DHISTECH: a folder of data files with an index, and a picture that gives it its name.

The format is not published; the structure is as OpenSlide reads it (openslide.org/formats/mirax). What is
copied: the tiles of the zoom levels, and where the camera stood. All other layers (label, macro, preview, masks,
annotations) lose their data; their records stay in the index, of length zero, so that those behind keep their number.
"""

from __future__ import annotations

import configparser
import re
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from aurelius_deidentify.data_files import read_lines
from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.slides.copying import Patch, Range, read_ranges
from aurelius_deidentify.slides.jpeg import blank_jpeg

SLIDEDAT, ZOOM_LAYER, REMOVED = "Slidedat.ini", "Slide zoom level", "Removed"
POSITION_LAYERS = ("VIMSLIDE_POSITION_BUFFER", "StitchingIntensityLayer")
INDEX_VERSION = b"01.02"
MOST_SLIDEDAT_BYTES = 1 << 20
#: Keys that stay where their value is a number, in any section.
NUMBERS = frozenset(read_lines(__package__, "mirax_keys.txt"))
_NUMBER = re.compile(r"-?\d{1,10}([.,]\d{1,15})?")
_STRUCTURE = re.compile(r"(NON)?HIER_\d+_(COUNT|VAL_\d+_SECTION)")
_SECTION = re.compile(r"\d{1,6}|(NONHIER)?LAYER_\d{1,4}(_LEVEL_\d{1,4})?_SECTION")
_FILE = re.compile(r"[A-Za-z]{1,8}\d{0,6}\.dat")
DAMAGED = "The MRXS slide cannot be understood: {}. Export it anew, with its folder."
#: Identifying keys whose values are looked for in what is written.
IDENTIFYING = ("SLIDE_NAME", "SLIDE_ID", "PROJECT_NAME", "SLIDE_CREATIONDATETIME", "BARCODE_VALUE")
#: The smallest picture there is, for the file whose name stands for the slide.
BLANK_PICTURE = bytes.fromhex(
    "ffd8ffdb004300" + "01" * 64 + "ffc0000b080001000101011100ffc40014000100000000000000000000000000000009"
    "ffc40014100100000000000000000000000000000000ffda0008010100003f0054dfffd9"
)


@dataclass
class MiraxPlan:
    """A clean copy of one MRXS slide, written as one uncompressed zip that holds ``slide.mrxs`` and its folder."""

    folder: Path
    slidedat: str
    index: bytes
    files: list[str]
    width: int
    height: int
    ranges: dict[int, list[Range]] = field(default_factory=dict)
    patches: dict[int, list[Patch]] = field(default_factory=dict)
    identifiers: set[str] = field(default_factory=set)

    def write(self, target: Path) -> None:
        """Write the clean copy.

        Raises
        ------
        NotDeidentifiable
            If a data file ends too early.
        """
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo("slide.mrxs"), BLANK_PICTURE)
            archive.writestr(zipfile.ZipInfo(f"slide/{SLIDEDAT}"), self.slidedat)
            archive.writestr(zipfile.ZipInfo("slide/Index.dat"), self.index)
            for number, name in enumerate(self.files):
                with (
                    (self.folder / name).open("rb") as source,
                    archive.open(zipfile.ZipInfo(f"slide/{name}"), "w", force_zip64=True) as written,
                ):
                    for block in read_ranges(source, self.ranges.get(number, []), self.patches.get(number, [])):
                        written.write(block)


def plan_mirax(path: Path) -> MiraxPlan:
    """Plan the clean copy of the slide that an ``.mrxs`` file stands for.

    Raises
    ------
    NotDeidentifiable
        If its folder is missing, or is not what is known of the format.
    """
    folder = path.with_suffix("")
    try:
        return _MiraxPlanner(folder).plan
    except (LookupError, ValueError, struct.error, configparser.Error) as error:
        raise NotDeidentifiable(DAMAGED.format(f"unexpected {type(error).__name__}")) from None
    except FileNotFoundError:
        raise NotDeidentifiable(DAMAGED.format("a file of its folder is missing")) from None


class _MiraxPlanner:
    """Reads the description and walks the index; the plan is complete once it is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ini = _read_slidedat(folder / SLIDEDAT)
        general, layers = self.ini["GENERAL"], self.ini["HIERARCHICAL"]
        if layers["HIER_0_NAME"] != ZOOM_LAYER:
            raise NotDeidentifiable(DAMAGED.format("its first layer is not the scan"))
        count = int(self.ini["DATAFILE"]["FILE_COUNT"])
        files = [self.ini["DATAFILE"][f"FILE_{number}"] for number in range(count)]
        if not all(_FILE.fullmatch(name) for name in [*files, layers["INDEXFILE"]]):
            raise NotDeidentifiable(DAMAGED.format("its data files have unusual names"))
        self.identity = general["SLIDE_ID"].encode()
        self.source = (folder / layers["INDEXFILE"]).read_bytes()
        if self.source[: len(INDEX_VERSION)] != INDEX_VERSION:
            raise NotDeidentifiable(DAMAGED.format("its index is of an unknown version"))
        self.index = bytearray(len(self.source))
        self.index[:5] = INDEX_VERSION
        self.index[5 : 5 + len(self.identity)] = b"0" * len(self.identity)
        first = self.ini[layers["HIER_0_VAL_0_SECTION"]]
        across, down = int(general["IMAGENUMBER_X"]), int(general["IMAGENUMBER_Y"])
        size = (across * int(first["DIGITIZER_WIDTH"]), down * int(first["DIGITIZER_HEIGHT"]))
        self.plan = MiraxPlan(folder, _clean_slidedat(self.ini), b"", files, *size)
        self._walk_levels()
        self._walk_layers()
        self.plan.index = bytes(self.index)
        values = (self.ini[section].get(key, "") for section in self.ini.sections() for key in IDENTIFYING)
        self.plan.identifiers = {value for value in values if len(value) >= 6}

    def _keep(self, at: int, count: int = 1) -> list[int]:
        """Copy numbers of the index to the clean one, and return them."""
        numbers = list(struct.unpack_from(f"<{count}i", self.source, at))
        if at < 0 or min(numbers) < 0:
            raise NotDeidentifiable(DAMAGED.format("its index holds a negative number"))
        struct.pack_into(f"<{count}i", self.index, at, *numbers)
        return numbers

    def _walk_levels(self) -> None:
        layers = self.ini["HIERARCHICAL"]
        (root,) = self._keep(len(INDEX_VERSION) + len(self.identity))
        counts = [int(layers[f"HIER_{number}_COUNT"]) for number in range(int(layers["HIER_COUNT"]))]
        for record in range(sum(counts)):
            (head,) = self._keep(root + 4 * record)
            _, page = self._keep(head, 2)
            if record < counts[0]:
                form = self.ini[layers[f"HIER_0_VAL_{record}_SECTION"]]["IMAGE_FORMAT"]
                self._walk_pages(page, form)

    def _walk_pages(self, page: int, form: str) -> None:
        seen: set[int] = set()
        while page and page not in seen:
            seen.add(page)
            count, after = self._keep(page, 2)
            tiles = self._keep(page + 8, 4 * count) if count else []
            for _, offset, size, number in zip(*[iter(tiles)] * 4, strict=True):
                self._keep_tile(number, offset, size, form)
            page = after

    def _walk_layers(self) -> None:
        layers = self.ini["HIERARCHICAL"]
        (root,) = self._keep(len(INDEX_VERSION) + len(self.identity) + 4)
        record = 0
        for number in range(int(layers["NONHIER_COUNT"])):
            for _ in range(int(layers[f"NONHIER_{number}_COUNT"])):
                (head,) = self._keep(root + 4 * record)
                _, page = self._keep(head, 2)
                struct.pack_into("<i", self.index, page, 1)
                if layers[f"NONHIER_{number}_NAME"] in POSITION_LAYERS:
                    offset, size, file = self._keep(page + 16, 3)
                    self.plan.ranges.setdefault(file, []).append((offset, offset + size))
                record += 1

    def _keep_tile(self, number: int, offset: int, size: int, form: str) -> None:
        self.plan.ranges.setdefault(number, []).append((offset, offset + size))
        with (self.folder / self.plan.files[number]).open("rb") as file:
            file.seek(offset)
            if form == "JPEG":
                head = file.read(min(size, 65536))
                found = blank_jpeg(lambda wanted: head[:wanted], len(head))
                self.plan.patches.setdefault(number, []).extend((offset + place, data) for place, data in found)
            elif form == "PNG" and any(word in file.read(size) for word in (b"tEXt", b"zTXt", b"iTXt", b"eXIf")):
                raise NotDeidentifiable(DAMAGED.format("its tiles carry texts"))


def _read_slidedat(path: Path) -> configparser.ConfigParser:
    if path.stat().st_size > MOST_SLIDEDAT_BYTES:
        raise NotDeidentifiable(DAMAGED.format("its description is too long"))
    ini = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",))
    ini.optionxform = str  # type: ignore[assignment,method-assign]
    ini.read_string(path.read_bytes().decode("utf-8-sig", "replace"))
    return ini


def _clean_slidedat(ini: configparser.ConfigParser) -> str:
    """Return the description with what says how tiles fit together; layers that lost their data have no name."""
    lines = []
    for section in ini.sections():
        if section in ("GENERAL", "HIERARCHICAL", "DATAFILE") or _SECTION.fullmatch(section):
            lines.append(f"[{section}]")
            lines += [f"{key} = {kept}" for key, value in ini[section].items() if (kept := _clean_value(key, value))]
    return "\r\n".join(lines) + "\r\n"


def _clean_value(key: str, value: str) -> str | None:
    if key == "SLIDE_ID":
        return "0" * len(value.encode())
    if re.fullmatch(r"HIER_0_VAL_\d+", key):
        return value if re.fullmatch(r"ZoomLevel_\d{1,2}", value) else REMOVED
    if re.fullmatch(r"(NON)?HIER_\d+_(NAME|VAL_\d+)", key):
        return value if value in (ZOOM_LAYER, *POSITION_LAYERS) else REMOVED
    if key in NUMBERS:
        return value if _NUMBER.fullmatch(value) else None
    if _STRUCTURE.fullmatch(key):
        return value if _SECTION.fullmatch(value) else None
    if key == "INDEXFILE":
        return "Index.dat"
    if re.fullmatch(r"FILE_\d{1,6}", key):
        return value  # of a checked form
    return value if key == "IMAGE_FORMAT" and value in ("JPEG", "PNG", "BMP24") else None
