"""Whole-slide files made up for tests, with identifying values wherever the formats have room for them.

NDPI and MRXS follow the structures OpenSlide documents and reads; TIFF pyramids are written by tifffile.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

#: In every text below; must not occur in any clean copy.
SECRET = "ZZSLIDE-4711"
Pixels = NDArray[np.uint8]


def make_pixels(width: int, height: int, seed: int) -> Pixels:
    """Return smooth coloured noise, ``(y, x, 3)``."""
    small = np.random.default_rng(seed).integers(0, 255, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def encode_jpeg(pixels: Pixels, comment: str = "") -> bytes:
    """Return a baseline JPEG, with a comment segment if one is given."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, comment=comment)
    return file.getvalue()


def write_ndpi(path: Path) -> dict[str, bytes]:
    """Write an NDPI of two levels, a macro and a map; returns the codestreams by name."""
    streams = {
        "level 0": encode_jpeg(make_pixels(512, 384, 1), f"{SECRET} comment"),
        "level 1": encode_jpeg(make_pixels(256, 192, 2)),
        "macro": encode_jpeg(make_pixels(320, 128, 3)),
        "map": encode_jpeg(make_pixels(64, 32, 4)),
    }
    sizes = {"level 0": (512, 384, 20.0), "level 1": (256, 192, 10.0), "macro": (320, 128, -1.0), "map": (64, 32, -2.0)}
    body, directories = bytearray(b"II*\0" + bytes(8)), []
    for number, (name, stream) in enumerate(streams.items()):
        width, height, lens = sizes[name]
        at = len(body)
        body += stream + bytes(len(stream) % 2)
        texts = {271: "Hamamatsu", 272: f"NanoZoomer {SECRET}", 305: f"NDP.scan {SECRET}", 306: "2019:07:12 09:59:15"}
        texts |= {
            65427: f"{SECRET} reference",
            65442: f"{SECRET} serial",
            65449: f"Created={SECRET}\r\nNDP.S/N={SECRET}\r\n",
        }
        numbers = {254: (4, 0), 256: (4, width), 257: (4, height), 259: (3, 7), 262: (3, 6), 273: (4, at), 277: (3, 3)}
        numbers |= {278: (4, height), 279: (4, len(stream)), 65420: (4, 1), 65422: (9, 1000), 65423: (9, 2000)}
        numbers |= {65424: (9, 0), 282: (5, 40000), 283: (5, 40000), 296: (3, 3)}
        entries: list[tuple[int, int, int, bytes]] = [(258, 3, 3, _place(body, struct.pack("<3H", 8, 8, 8)))]
        entries += [(code, 2, len(text) + 1, _place(body, text.encode() + b"\0")) for code, text in texts.items()]
        entries += [(65421, 11, 1, struct.pack("<f", lens))]
        for code, (kind, value) in numbers.items():
            inline = _place(body, struct.pack("<II", value, 1)) if kind == 5 else struct.pack("<i", value)
            entries.append((code, kind, 1, inline))
        directories.append(len(body))
        entries.sort()
        body += struct.pack("<H", len(entries))
        body += b"".join(struct.pack("<HHI", code, kind, count) + value for code, kind, count, value in entries)
        body += bytes(8 + 4 * len(entries))
        if number:
            before = directories[number - 1]
            (count,) = struct.unpack_from("<H", body, before)
            struct.pack_into("<Q", body, before + 2 + 12 * count, directories[number])
    struct.pack_into("<Q", body, 4, directories[0])
    path.write_bytes(body)
    return streams


def _place(body: bytearray, value: bytes) -> bytes:
    """Append a value that does not fit into an entry; returns its place as the entry holds it."""
    if len(value) <= 4:
        return value.ljust(4, b"\0")
    body += bytes(len(body) % 2)
    at = len(body)
    body += value
    return struct.pack("<I", at)


def write_pyramid(path: Path, *, big: bool = False, compression: str = "jpeg", order: str = "<") -> Pixels:
    """Write a pyramid of two levels with a tiled label and a stripped macro behind them; returns the scan."""
    scan, label, macro = make_pixels(512, 384, 5), make_pixels(128, 128, 6), make_pixels(300, 100, 7)
    texts = {"software": SECRET, "datetime": "2019:07:12 09:59:15", "metadata": None}
    extra = [(315, 2, None, f"{SECRET} artist", True), (316, 2, None, f"{SECRET} host", True)]
    extra += [(700, 1, None, f"<x:xmpmeta>{SECRET}</x:xmpmeta>".encode(), True), (65000, 2, None, SECRET, True)]
    with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as tiff:
        tiled = {"tile": (128, 128), "compression": compression, "photometric": "rgb", "extratags": extra, **texts}
        tiff.write(scan, description=f"{SECRET} description", **tiled)
        tiff.write(scan[::2, ::2], subfiletype=1, **tiled)
        tiff.write(label, subfiletype=1, **tiled)
        tiff.write(macro, description=f"macro {SECRET}", subfiletype=9, photometric="rgb", **texts)
    return scan


def write_ome(path: Path) -> Pixels:
    """Write an OME-TIFF with its lower level in a SubIFD and a label as the second image; returns the scan."""
    scan, label = make_pixels(512, 384, 8), make_pixels(128, 128, 9)
    people = {
        "Name": f"{SECRET} slide",
        "Description": f"{SECRET} description",
        "AcquisitionDate": "2019-07-12T09:59:15",
    }
    sizes = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25}
    tiled = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as tiff:
        tiff.write(scan, subifds=1, metadata={**sizes, **people, "PhysicalSizeYUnit": "µm"}, **tiled)
        tiff.write(scan[::2, ::2], subfiletype=1, **tiled)
        tiff.write(label, metadata={"axes": "YXS", "Name": f"{SECRET} label"}, **tiled)
    return scan


def write_mirax(path: Path) -> dict[str, bytes]:
    """Write an MRXS of two zoom levels with label, macro and preview; returns the codestreams by name."""
    folder = path.with_suffix("")
    folder.mkdir(parents=True)
    path.write_bytes(encode_jpeg(make_pixels(64, 64, 10), SECRET))
    identity = SECRET.encode().ljust(32, b"F")
    scan = make_pixels(256, 256, 11)
    streams = {
        f"tile {number}": encode_jpeg(scan[y : y + 128, x : x + 128], f"{SECRET} tile")
        for number, (y, x) in enumerate([(0, 0), (0, 128), (128, 0), (128, 128)])
    }
    streams["tile 4"] = encode_jpeg(np.ascontiguousarray(scan[::2, ::2]))
    streams |= {name: encode_jpeg(make_pixels(96, 64, 20 + len(name))) for name in ("label", "macro", "preview")}
    streams["positions"] = b"".join(struct.pack("<bii", 1, x, y) for y in (0, 128) for x in (0, 128))
    data, places = bytearray(b"01.02" + identity + bytes(64)), {}
    for name, stream in streams.items():
        places[name] = (len(data), len(stream))
        data += stream + SECRET.encode()  # gaps between the records hold what nobody knows
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Index.dat").write_bytes(_make_index(identity, places))
    (folder / "Slidedat.ini").write_text(_SLIDEDAT.format(secret=SECRET, identity=identity.decode()), "utf-8-sig")
    (folder / "Notes.txt").write_text(SECRET)
    return streams


def _make_index(identity: bytes, places: dict[str, tuple[int, int]]) -> bytes:
    index = bytearray(b"01.02" + identity + bytes(8))
    levels = [[(0, "tile 0"), (1, "tile 1"), (2, "tile 2"), (3, "tile 3")], [(0, "tile 4")]]
    pages = [
        struct.pack("<ii", len(level), 0) + b"".join(struct.pack("<iiii", at, *places[name], 0) for at, name in level)
        for level in levels
    ]
    layers = [
        struct.pack("<iiiiiii", 1, 0, 0, 0, *places[name], 0) for name in ("macro", "label", "preview", "positions")
    ]
    for root, records in ((37, pages), (41, layers)):
        heads = []
        for record in records:
            at = len(index)
            index += record + SECRET.encode()
            heads.append(len(index))
            index += struct.pack("<ii", 0, at)
        struct.pack_into("<i", index, root, len(index))
        index += struct.pack(f"<{len(heads)}i", *heads)
    return bytes(index)


_LEVEL = """[LAYER_0_LEVEL_{number}_SECTION]
OVERLAP_X = 0
OVERLAP_Y = 0
MICROMETER_PER_PIXEL_X = {mpp}
MICROMETER_PER_PIXEL_Y = {mpp}
IMAGE_FORMAT = JPEG
IMAGE_FILL_COLOR_BGR = 16777215
DIGITIZER_WIDTH = 128
DIGITIZER_HEIGHT = 128
IMAGE_CONCAT_FACTOR = {number}
SCANNER_HARDWARE_ID = {{secret}}
"""
_SLIDEDAT = (
    """[GENERAL]
SLIDE_VERSION = 01.02
SLIDE_ID = {identity}
SLIDE_NAME = {secret} name
PROJECT_NAME = {secret} project
SLIDE_CREATIONDATETIME = 12/07/2019 09:59:15
IMAGENUMBER_X = 2
IMAGENUMBER_Y = 2
OBJECTIVE_MAGNIFICATION = 20
CameraImageDivisionsPerSide = 1
[HIERARCHICAL]
HIER_COUNT = 1
NONHIER_COUNT = 2
INDEXFILE = Index.dat
HIER_0_NAME = Slide zoom level
HIER_0_COUNT = 2
HIER_0_VAL_0 = ZoomLevel_0
HIER_0_VAL_0_SECTION = LAYER_0_LEVEL_0_SECTION
HIER_0_VAL_1 = ZoomLevel_1
HIER_0_VAL_1_SECTION = LAYER_0_LEVEL_1_SECTION
NONHIER_0_NAME = Scan data layer
NONHIER_0_COUNT = 3
NONHIER_0_VAL_0 = ScanDataLayer_SlideThumbnail
NONHIER_0_VAL_0_SECTION = NONHIERLAYER_0_LEVEL_0_SECTION
NONHIER_0_VAL_1 = ScanDataLayer_SlideBarcode
NONHIER_0_VAL_1_SECTION = NONHIERLAYER_0_LEVEL_1_SECTION
NONHIER_0_VAL_2 = ScanDataLayer_SlidePreview
NONHIER_0_VAL_2_SECTION = NONHIERLAYER_0_LEVEL_2_SECTION
NONHIER_1_NAME = VIMSLIDE_POSITION_BUFFER
NONHIER_1_COUNT = 1
NONHIER_1_VAL_0 = default
NONHIER_1_VAL_0_SECTION = NONHIERLAYER_1_LEVEL_0_SECTION
NONHIER_1_SECTION = NONHIERLAYER_1_SECTION
[DATAFILE]
FILE_COUNT = 1
FILE_0 = Data0000.dat
[NONHIERLAYER_0_LEVEL_0_SECTION]
THUMBNAIL_IMAGE_TYPE = JPEG
[NONHIERLAYER_0_LEVEL_1_SECTION]
BARCODE_IMAGE_TYPE = JPEG
BARCODE_VALUE = {secret} barcode
[NONHIERLAYER_0_LEVEL_2_SECTION]
PREVIEW_IMAGE_TYPE = JPEG
[NONHIERLAYER_1_SECTION]
VIMSLIDE_POSITION_DATA_FORMAT_VERSION = 257
"""
    + _LEVEL.format(number=0, mpp=0.25)
    + _LEVEL.format(number=1, mpp=0.5)
)
