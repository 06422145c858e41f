"""In which form objects, frames and pictures come: transfer syntaxes, media types, single bits, windows, sizes."""

from __future__ import annotations

import email.parser
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import UID
from sqlalchemy import select

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import NotAcceptable
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.service import dicomweb
from aurelius_catalog.service.negotiation import Offer, choose_offer, read_accepted
from aurelius_catalog.settings import CatalogSettings
from support.cohort import admit
from support.servers_dicomweb import COLUMNS, ENCODINGS, ROWS, make_bits, make_image, make_palette, make_pixels
from support.service_client import serve_as
from support.slide_files import write_pyramid
from support.slide_house import add_slide

NATIVE = "1.2.840.10008.1.2.1"
DICOM = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'


@dataclass(frozen=True)
class Held:
    """A client of the service, and what its catalog holds, by name."""

    client: TestClient
    objects: dict[str, Dataset]
    bits: np.ndarray
    settings: CatalogSettings

    def path(self, name: str, level: str = "instance") -> str:
        found = self.objects[name]
        above = f"/dicomweb/studies/{found.StudyInstanceUID}"
        if level == "study":
            return above
        above = f"{above}/series/{found.SeriesInstanceUID}"
        return above if level == "series" else f"{above}/instances/{found.SOPInstanceUID}"

    def ask(self, path: str, accept: str = "*/*", **params: str) -> Response:
        return self.client.get(path, headers={"Accept": accept}, params=params)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    objects = {name: make_image(name, syntax, frames=2) for name, syntax in ENCODINGS.items()}
    objects["bits"], bits = make_bits("bits")
    objects["palette"], objects["flat"] = make_palette("palette"), make_image("flat")
    objects["inverse"] = make_image("inverse")
    objects["inverse"].PhotometricInterpretation = "MONOCHROME1"
    words = make_image("words")
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel"):
        delattr(words, keyword)
    words.SOPClassUID = words.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.88.11")
    words.Modality = "SR"
    objects["words"] = words
    home = tmp_path_factory.mktemp("house")
    admit(list(objects.values()), home)
    app = create_service("catalog")
    mount_router(app, dicomweb.router)
    with serve_as(app, lambda: Person.of("rhea", ["role-researcher", "site-north"]), home=home) as settings:
        yield Held(TestClient(app, raise_server_exceptions=False), objects, bits, settings)


def split(answer: Response) -> list[tuple[str, bytes]]:
    """Return type and content of each part, as the standard library splits them."""
    assert answer.status_code in (200, 206), answer.text
    head = b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.content)
    return [(str(part["Content-Type"]).replace('"', ""), part.get_content()) for part in message.iter_parts()]


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_objects_come_as_stored_and_uncompressed_if_asked(held: Held, name: str) -> None:
    stored = ENCODINGS[name]
    for accept in ("*/*", DICOM, f"{DICOM}; transfer-syntax=*", f"{DICOM}; transfer-syntax={stored}"):
        ((kind, data),) = split(held.ask(held.path(name), accept))
        assert kind == f"application/dicom; transfer-syntax={stored}"
        assert dcmread(BytesIO(data)).file_meta.TransferSyntaxUID == stored
    for level in ("instance", "series", "study"):
        ((kind, data),) = split(held.ask(held.path(name, level), f"{DICOM}; transfer-syntax={NATIVE}"))
        assert kind == f"application/dicom; transfer-syntax={NATIVE}"
        found = dcmread(BytesIO(data))
        assert found.file_meta.TransferSyntaxUID == NATIVE
        assert found.SOPInstanceUID == held.objects[name].SOPInstanceUID
        assert np.array_equal(found.pixel_array, make_pixels(2))
    single = held.ask(held.path(name), f"application/dicom; transfer-syntax={NATIVE}")
    assert np.array_equal(dcmread(BytesIO(single.content)).pixel_array, make_pixels(2))


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_frames_come_as_stored_and_uncompressed_if_asked(held: Held, name: str) -> None:
    path, expected = f"{held.path(name)}/frames/2,1", make_pixels(2)
    plain = split(held.ask(path, f"{OCTETS}; transfer-syntax={NATIVE}"))
    assert [kind for kind, _ in plain] == [f"application/octet-stream; transfer-syntax={NATIVE}"] * 2
    assert [np.frombuffer(data, "<u2").reshape(ROWS, COLUMNS).tolist() for _, data in plain] == expected[::-1].tolist()
    kinds = {"jpegls": ("image/jls", imagecodecs.jpegls_decode), "jpeg2000": ("image/jp2", imagecodecs.jpeg2k_decode)}
    if name in kinds:
        kind, decode = kinds[name]
        for accept, media in (("*/*", kind), (f'multipart/related; type="{kind}"', kind), (OCTETS, OCTETS[25:-1])):
            first = split(held.ask(path, accept))[0]
            assert first[0] == f"{media}; transfer-syntax={ENCODINGS[name]}"
            assert np.array_equal(decode(first[1]), expected[1])
    one = held.ask(f"{held.path(name)}/frames/1", f"application/octet-stream; transfer-syntax={NATIVE}")
    assert (one.status_code, one.content) == (200, expected[0].astype("<u2").tobytes())


def test_frames_of_single_bits_begin_with_their_own_byte(held: Held) -> None:
    found = split(held.ask(f"{held.path('bits')}/frames/1,2,3"))
    bits = [np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:25].reshape(5, 5) for _, data in found]
    assert np.array_equal(bits, held.bits)
    assert held.ask(f"{held.path('bits')}/frames/4").status_code == 404


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("", "image/png"),
        ("", f"{DICOM}; transfer-syntax=1.2.840.10008.1.2"),
        ("", f"{DICOM}; q=0"),
        ("/metadata", 'multipart/related; type="application/dicom+xml"'),
        ("/frames/1,2", f"application/octet-stream; transfer-syntax={NATIVE}"),
        ("/frames/1", 'multipart/related; type="image/jp2"'),
        ("/rendered", "video/mp4"),
        ("/thumbnail", "text/html"),
    ],
)
def test_forms_there_are_not_are_406_and_say_which_there_are(held: Held, path: str, accept: str) -> None:
    answer = held.ask(held.path("jpegls") + path, accept)
    assert answer.status_code == 406
    assert "can be had as" in answer.json()["detail"]


def test_the_query_may_say_what_the_header_cannot(held: Held) -> None:
    path = held.path("explicit")
    assert held.ask(f"{path}/rendered", accept="image/png").headers["content-type"] == "image/png"
    found = held.client.get(f"{path}/rendered?accept=image/gif", headers={"Accept": "application/dicom"})
    assert Image.open(BytesIO(found.content)).format == "GIF"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "image/jpeg"),
        ("image/*", "image/jpeg"),
        ("image/png;q=0.5, image/gif;q=0.9", "image/gif"),
        ("text/html, */*;q=0.1", "image/jpeg"),
        ('image/png; x="a, b", image/gif', "image/png"),
    ],
)
def test_the_most_wanted_form_is_chosen(accept: str, chosen: str) -> None:
    offers = [Offer("image/jpeg"), Offer("image/png"), Offer("image/gif")]
    assert choose_offer(read_accepted(None, accept), offers).media_type == chosen
    with pytest.raises(NotAcceptable):
        choose_offer(read_accepted(None, "image/png;q=nonsense;q=0"), offers)


def draw(held: Held, path: str, **params: str) -> np.ndarray:
    answer = held.ask(path, "image/png", **params)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(BytesIO(answer.content)))


def test_windows_are_those_of_the_standard(held: Held) -> None:
    """PS3.3 section C.11.2.1.2: linear, linear exact and sigmoid, inverted for MONOCHROME1."""
    values = make_pixels()[0].astype(float)
    path = f"{held.path('flat')}/rendered"
    linear = np.clip((values - 99.5) / 99 + 0.5, 0, 1)  # the header's own: 100, 100
    assert np.abs(draw(held, path) - linear * 255).max() <= 0.51
    exact = np.clip((values - 1000) / 500 + 0.5, 0, 1)
    assert np.abs(draw(held, path, window="1000,500,linear-exact") - exact * 255).max() <= 0.51
    sigmoid = 1 / (1 + np.exp(-4 * (values - 2000) / 1000))
    assert np.abs(draw(held, path, window="2000,1000,sigmoid") - sigmoid * 255).max() <= 0.51
    inverse = draw(held, f"{held.path('inverse')}/rendered")
    assert np.array_equal(inverse, 255 - draw(held, path))


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_pictures_are_drawn_of_every_encoding(held: Held, name: str) -> None:
    path = f"{held.path(name)}/frames/2/rendered"
    assert np.array_equal(draw(held, path), draw(held, f"{held.path('explicit')}/frames/2/rendered"))
    assert len(split(held.ask(f"{held.path(name)}/frames/1,2/rendered"))) == 2


def test_colours_and_bits_are_drawn(held: Held) -> None:
    palette = draw(held, f"{held.path('palette')}/rendered")
    assert palette[0].tolist() == [[255, 0, 0]] * 2 + [[0, 255, 0]] * 2 + [[0, 0, 255]] * 2 + [[255, 255, 255]] * 2
    bits = draw(held, f"{held.path('bits')}/frames/2/rendered", window="0.5,1,linear-exact")
    assert np.array_equal(bits, held.bits[1] * 255)


def test_viewport_gives_size_and_region(held: Held) -> None:
    path = f"{held.path('palette')}/rendered"
    assert draw(held, path, viewport="16,16").shape == (16, 16, 3)
    assert draw(held, path, viewport="16,4").shape == (4, 4, 3)  # the shape of the frame is kept
    left = draw(held, path, viewport="2,2,0,0,2,2")
    assert left.tolist() == [[[255, 0, 0]] * 2] * 2
    mirrored = draw(held, path, viewport="8,8,8,0,-8,8")
    assert mirrored[0, 0].tolist() == [255, 255, 255]
    for level in ("study", "series", "instance"):
        assert draw(held, f"{held.path('palette', level)}/thumbnail").shape == (256, 256, 3)
    for wrong in ("1", "0,5", "a,b", "9999999,1", "8,8,100,100,2,2", "nan,1", "1e3000,1", "8,8,0,0,0,0"):
        assert held.ask(path, viewport=wrong).status_code == 400, wrong
    for wrong in ("1", "1,0", "1,-3", "1,2,cubic", "x,y", "1,2,linear,3", "inf,1"):
        assert held.ask(path, window=wrong).status_code == 400, wrong
    assert held.ask(path, quality="101").status_code == 422
    assert held.ask(f"{held.path('words')}/rendered").status_code == 406


def test_slide_files_are_drawn_as_well(held: Held, tmp_path: Path) -> None:
    pixels = write_pyramid(tmp_path / "slide.tif")
    uid = add_slide(held.settings, tmp_path / "slide.tif", project="lung")
    study = LocalStore(held.settings, Person.service("test")).get_series(uid).StudyInstanceUID
    above = f"/dicomweb/studies/{study}"
    for path in (f"{above}/thumbnail", f"{above}/series/{uid}/thumbnail"):
        assert draw(held, path).shape == (256, 256, 3)
    finest = held.ask(f"{above}/series/{uid}/metadata").json()[0]["00080018"]["Value"][0]
    tile = draw(held, f"{above}/series/{uid}/instances/{finest}/frames/1/rendered").astype(int)
    height, width = min(tile.shape[0], pixels.shape[0]), min(tile.shape[1], pixels.shape[1])
    assert np.abs(tile[:height, :width] - pixels[:height, :width]).mean() < 12
    assert held.ask(f"{above}/series/{uid}").status_code == 415


def test_pictures_are_sent_once_to_who_has_them(held: Held) -> None:
    path = f"{held.path('flat')}/thumbnail"
    tag = held.ask(path).headers["etag"]
    again = held.client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert held.client.get(path, headers={"If-None-Match": tag}, params={"window": "1,2"}).status_code == 200


def test_bulk_data_by_range_and_what_is_none(held: Held) -> None:
    path, value = f"{held.path('palette')}/bulkdata", held.objects["palette"].GreenPaletteColorLookupTableData
    whole = held.ask(f"{path}/00281202", "application/octet-stream")
    assert (whole.content, whole.headers["content-length"]) == (value, str(len(value)))
    for wanted, expected in (
        ("bytes=0-9", value[:10]),
        ("bytes=2040-", value[2040:]),
        ("bytes=2000-9999", value[2000:]),
    ):
        part = held.client.get(f"{path}/00281202", headers={"Accept": "application/octet-stream", "Range": wanted})
        assert (part.status_code, part.content) == (206, expected)
    assert part.headers["content-range"] == f"bytes 2000-2047/{len(value)}"
    far = held.client.get(f"{path}/00281202", headers={"Range": "bytes=5000-"})
    assert (far.status_code, far.headers["content-range"]) == (416, "bytes */2048")
    for nothing in (
        "00100010",
        "00281202/0/00100010",
        "../../x",
        "zz",
        "00081140/0",
        "0008114A/0/00081155",
        "7FE00008",
    ):
        assert held.ask(f"{path}/{nothing}").status_code == 404, nothing
    pixels = held.ask(f"{held.path('big')}/bulkdata/7FE00010", f"{OCTETS}; transfer-syntax={NATIVE}")
    assert b"".join(data for _, data in split(pixels)) == make_pixels(2).astype("<u2").tobytes()


def test_every_opening_is_recorded(held: Held) -> None:
    """One record per series and hour for frames and pictures, one per object that is handed out whole."""

    def count(uid: str) -> int:
        with open_engine(held.settings).begin() as connection:
            return len(connection.execute(select(audit_events.c.id).where(audit_events.c.object == uid)).all())

    found = held.objects["implicit"]
    before = count(found.SOPInstanceUID)
    for _ in range(3):
        held.ask(f"{held.path('implicit')}/frames/1")
        held.ask(f"{held.path('implicit')}/rendered")
    assert count(found.SeriesInstanceUID) >= 1
    assert count(found.SOPInstanceUID) == before
    held.ask(held.path("implicit"))
    assert count(found.SOPInstanceUID) == before + 1


def test_paths_that_climb_find_nothing(held: Held) -> None:
    for uid in ("..", "%2e%2e", "..%2f..%2findex.sqlite", "%00", "1.2.3%0d%0aX: y", "9" * 500, "%ed%a0%80"):
        for path in (
            f"/studies/{uid}",
            f"/studies/{uid}/metadata",
            f"/studies/1.2/series/{uid}/instances/{uid}/frames/1",
        ):
            assert held.client.get(f"/dicomweb{path}").status_code in (400, 404, 422), path
