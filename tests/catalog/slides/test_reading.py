"""Slides of every format as levels, regions and tiles: the same pixels here and over HTTP, with rights and audit."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dask.array
import numpy as np
import pytest
import xarray as xr
from fastapi.testclient import TestClient
from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image
from pydicom import Dataset
from pydicom.uid import VLWholeSlideMicroscopyImageStorage
from sqlalchemy import select

from aurelius_catalog import Catalog
from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_catalog.local.slides import LocalSlides
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.series import Series
from aurelius_catalog.service.app import create_app
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.slide import Slide
from aurelius_catalog.slides import open_slides, tiles
from support.service_client import believe_header, serve_as
from support.slide_files import make_pixels, write_mirax, write_ndpi, write_ome, write_pyramid
from support.slide_house import PROJECT, add_dicom_slide, add_slide, write_dicom_slide

PEOPLE = {
    "paul": ["role-pathologist", f"project-{PROJECT}"],
    "rhea": ["role-researcher", "project-lung"],
}


@dataclass(frozen=True)
class House:
    """A catalog with one slide of each format, by name."""

    settings: CatalogSettings
    uids: dict[str, str]

    def open_as(self, name: str) -> Catalog:
        return Catalog(LocalStore(self.settings, Person.of(name, PEOPLE[name])))

    def series(self, name: str) -> Series:
        return self.open_as("paul").series(self.uids[name])

    def slide(self, name: str) -> Slide:
        return self.series(name).slide()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, data: Path) -> House:
    home, made = tmp_path_factory.mktemp("house"), tmp_path_factory.mktemp("made")
    settings = CatalogSettings(home=home)
    for name in ("n.ndpi", "m.mrxs", "t.tif", "o.ome.tif"):
        {"n": write_ndpi, "m": write_mirax, "t": write_pyramid, "o": write_ome}[name[0]](made / name)
    files = {"svs": data / "wsi" / "CMU-1-Small-Region.svs", "ndpi": made / "n.ndpi", "mrxs": made / "m.mrxs"}
    files |= {"tiff": made / "t.tif", "ome": made / "o.ome.tif"}
    uids = {name: add_slide(settings, path) for name, path in files.items()}
    scan = make_pixels(500, 300, 42)
    uids["full"] = add_dicom_slide(settings, write_dicom_slide(made / "full", scan))
    uids["sparse"] = add_dicom_slide(settings, write_dicom_slide(made / "sparse", scan, sparse=True))
    uids["grey"] = add_dicom_slide(settings, [data / "odd" / "highdicom_sm_image_grayscale.dcm"])
    uids["jpeg-ls"] = add_dicom_slide(settings, [data / "odd" / "highdicom_sm_image_jpegls_nobot.dcm"])
    levels = [path for path in (data / "wsi" / "cmu-1-dicom").iterdir() if path.name[-7:-4] in ("378", "381")]
    uids["jpeg"] = add_dicom_slide(settings, levels)
    return House(settings, uids)


ALL = ["svs", "ndpi", "mrxs", "tiff", "ome", "full", "sparse", "grey", "jpeg-ls", "jpeg"]


# -- the same for every format ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_format_opens_alike(house: House, name: str) -> None:
    slide = house.slide(name)
    tree = slide.datatree()
    assert list(tree.children) == [str(number) for number in range(len(slide.levels))]
    for number, level in enumerate(slide.levels):
        image = tree[str(number)]["image"]
        assert image.dims == ("y", "x", "c")
        assert image.shape == (level.height, level.width, 3)
        assert image.dtype == np.uint8
    coarsest = tree[str(len(slide.levels) - 1)]["image"]
    pixels = coarsest.load().to_numpy()
    assert np.array_equal(pixels, slide.read_pixels(len(slide.levels) - 1, 0, 0, *coarsest.shape[1::-1]))
    assert pixels.std() > 1, "the slide is empty"
    overview = Image.open(BytesIO(house.open_as("paul").store.read_slide_tile(slide.record.SeriesInstanceUID, 6, 0, 0)))
    expected = np.asarray(slide.thumbnail(max(overview.size)).resize(overview.size, Image.Resampling.BOX), dtype=float)
    assert np.abs(np.asarray(overview, dtype=float).mean((0, 1)) - expected.mean((0, 1))).max() < 10


def test_levels_say_their_size(house: House) -> None:
    assert house.slide("svs").mpp == (0.499, 0.499)
    assert house.slide("svs").record.objective_power == 20
    assert house.slide("ome").mpp == (0.25, 0.25)
    assert [level.width for level in house.slide("ome").levels] == [512, 256]
    assert house.slide("full").mpp == pytest.approx((0.5, 0.5))
    assert house.slide("sparse").mpp == pytest.approx((0.5, 0.5))
    assert house.slide("mrxs").mpp == pytest.approx((0.25, 0.25))
    assert "0.499 µm per pixel" in repr(house.slide("svs"))


def test_dicom_slides_hold_what_was_scanned(house: House) -> None:
    scan = make_pixels(500, 300, 42)
    assert np.array_equal(house.slide("full").to_xarray(0).to_numpy(), scan)
    sparse = house.slide("sparse").to_xarray(0).to_numpy()
    assert (sparse[:128, :128] == 255).all(), "where nothing was scanned, a slide is white"
    sparse[:128, :128] = scan[:128, :128]
    assert np.array_equal(sparse, scan)


def test_pixels_are_those_openslide_reads(house: House, data: Path) -> None:
    with OpenSlide(data / "wsi" / "CMU-1-Small-Region.svs") as source:
        expected = np.asarray(source.read_region((0, 0), 0, source.dimensions).convert("RGB"))
    assert np.array_equal(house.slide("svs").to_xarray(0).to_numpy(), expected)
    image = house.slide("svs").to_xarray(0)
    assert np.array_equal(image[100:1500:7, 30:2000:11, 1].to_numpy(), expected[100:1500:7, 30:2000:11, 1])
    assert np.array_equal(image[5, ::-1].to_numpy(), expected[5, ::-1])
    assert np.array_equal(image[::-3, 7].to_numpy(), expected[::-3, 7])
    assert image[10:10].to_numpy().shape == (0, 2220, 3)


def test_levels_are_lazy_and_chunked_on_demand(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    original = LocalSlides.read_slide_region

    def read(store: LocalSlides, uid: str, *place: int) -> np.ndarray:
        asked.append(place)
        return original(store, uid, *place)

    monkeypatch.setattr(LocalSlides, "read_slide_region", read)
    tree = house.slide("svs").datatree()
    assert asked == []
    tree["0"]["image"][1000:1010, 500:520].load()
    assert asked == [(0, 500, 1000, 20, 10)]
    chunked = house.slide("svs").datatree(chunks={})["0"]["image"]
    assert isinstance(chunked.data, dask.array.Array)
    assert chunked.data.numblocks == (3, 3, 1)
    assert chunked[:64, :64].mean().compute() == house.slide("svs").to_xarray(0)[:64, :64].mean()


# -- physical size ---------------------------------------------------------------------------------


def test_coordinates_are_micrometres_on_every_level(house: House) -> None:
    tree = house.slide("full").datatree()
    for name, step in (("0", 0.5), ("1", 1.0)):
        image = tree[name]["image"]
        assert image.x.attrs["units"] == "µm"
        assert image.x.to_numpy()[:2] == pytest.approx([step / 2, 3 * step / 2])
        assert image.attrs["spacing_um"] == pytest.approx([step, step])
    near = [tree[name]["image"].sel(x=100.3, y=50.2, method="nearest").to_numpy().astype(int) for name in "01"]
    assert np.abs(near[0] - near[1]).max() < 20


def test_a_region_is_read_by_its_physical_size(house: House) -> None:
    slide, scan = house.slide("full"), make_pixels(500, 300, 42)
    region = slide.read_region(x_um=50, y_um=25, width_um=100, height_um=50, size_px=(200, 100))
    assert np.array_equal(region.to_numpy(), scan[50:150, 100:300])
    assert region.x.to_numpy()[[0, -1]] == pytest.approx([50.25, 149.75])
    half = slide.read_region(x_um=50, y_um=25, width_um=100, height_um=50, size_px=100)
    assert half.shape == (50, 100, 3)
    assert half.attrs["level"] == 1
    between = slide.read_region(x_um=50, y_um=25, width_um=100, height_um=50, size_px=150)
    expected = np.asarray(Image.fromarray(scan[50:150, 100:300]).resize((150, 75), Image.Resampling.LANCZOS))
    assert np.abs(between.to_numpy().astype(int) - expected).max() < 12
    beside = slide.read_region(x_um=-50, y_um=-50, width_um=50, height_um=50, size_px=10)
    assert (beside.to_numpy() == 255).all()


def test_regions_that_make_no_sense_are_refused(house: House) -> None:
    slide = house.slide("full")
    for region in ((0, 0, 0, 5), (0, 0, float("nan"), 5), (0, 0, -1, 5), (0, float("inf"), 1, 5)):
        with pytest.raises(InvalidRequest, match="micrometres"):
            slide.read_region(*region)
    with pytest.raises(InvalidRequest, match="too large"):
        slide.read_region(0, 0, 1e9, 1e9)
    with pytest.raises(InvalidRequest, match="at least one pixel"):
        slide.read_region(0, 0, 10, 10, size_px=10**6)
    with pytest.raises(NotFound, match="levels 0 to 1"):
        slide.to_xarray(2)
    with pytest.raises(InvalidRequest, match="nowhere near"):
        slide.read_pixels(0, 2**40, 0, 10, 10)


def test_a_slide_that_does_not_say_its_size_is_read_by_pixels(house: House) -> None:
    slide = house.slide("tiff")
    assert slide.record.mpp_x is None
    with pytest.raises(InvalidRequest, match="read_pixels"):
        slide.read_region(0, 0, 10, 10)
    assert slide.to_xarray(1).x.attrs["units"] == "px"
    assert slide.to_xarray(1).x.to_numpy()[0] == 1.0
    assert slide.read_pixels(0, 500, 380, 20, 10).shape == (10, 20, 3)


# -- what is no slide, and who may not ------------------------------------------------------------


def test_what_is_no_slide_says_so(house: House) -> None:
    with pytest.raises(NotFound):
        house.open_as("paul").store.describe_slide("1.2.3")


def test_rights_are_asked_at_every_touch(house: House) -> None:
    house.slide("svs").thumbnail(8)  # it is open from here on
    stranger = house.open_as("rhea").store
    uid = house.uids["svs"]
    for ask in (
        lambda: stranger.describe_slide(uid),
        lambda: stranger.read_slide_region(uid, 0, 0, 0, 8, 8),
        lambda: stranger.read_slide_tile(uid, 0, 0, 0),
    ):
        with pytest.raises(PermissionDenied):
            ask()


def test_reading_is_on_record_once_however_many_tiles(house: House) -> None:
    store = LocalStore(house.settings, Person.of("olga", PEOPLE["paul"]))
    for column in range(4):
        store.read_slide_tile(house.uids["svs"], 12, column, 0)
    with open_engine(house.settings).begin() as connection:
        events = connection.execute(
            select(audit_events.c.action).where(
                audit_events.c.person == "olga", audit_events.c.object == house.uids["svs"]
            )
        )
        assert len(list(events)) == 1


def test_a_slide_is_opened_once_and_not_kept_when_its_file_is_gone(
    house: House, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    original = open_slides.open_files
    monkeypatch.setattr(open_slides, "open_files", lambda *given: opened.append("once") or original(*given))
    settings = CatalogSettings(home=tmp_path)
    uid = add_slide(settings, data / "wsi" / "CMU-1-Small-Region.svs")
    store = LocalStore(settings, Person.of("paul", PEOPLE["paul"]))
    for column in range(3):
        store.read_slide_tile(uid, 12, column, 0)
    assert opened == ["once"]
    held = store.take_slide(uid)
    held.paths[0].unlink()
    assert not held.is_good
    with pytest.raises(InvalidRequest):
        store.read_slide_tile(uid, 12, 0, 0)


def test_a_damaged_tile_does_not_spoil_the_slide(tmp_path: Path) -> None:
    path = tmp_path / "torn.tif"
    write_pyramid(path, compression="jpeg")
    settings = CatalogSettings(home=tmp_path / "house")
    uid = add_slide(settings, path)
    store = LocalStore(settings, Person.of("paul", PEOPLE["paul"]))
    stored = next(settings.files.rglob("*.tif"))
    with OpenSlide(stored) as slide:
        assert slide.level_count == 2
    content = bytearray(stored.read_bytes())
    start = content.index(b"\xff\xd8\xff")
    content[start : start + 300] = bytes(300)
    stored.write_bytes(content)
    with pytest.raises(InvalidRequest, match="damaged"):
        store.read_slide_region(uid, 0, 0, 0, 64, 64)
    assert store.read_slide_region(uid, 0, 400, 300, 64, 64).std() > 0


# -- tiles -----------------------------------------------------------------------------------------


def test_tiles_are_those_of_deepzoom(house: House, data: Path) -> None:
    store, uid = house.open_as("paul").store, house.uids["svs"]
    with OpenSlide(data / "wsi" / "CMU-1-Small-Region.svs") as source:
        zoom = DeepZoomGenerator(source, tiles.TILE_PX, tiles.OVERLAP_PX)
        for level, column, row in ((12, 0, 0), (12, 4, 5), (11, 1, 2), (9, 0, 0), (0, 0, 0)):
            tile = Image.open(BytesIO(store.read_slide_tile(uid, level, column, row)))
            expected = zoom.get_tile(level, (column, row))
            assert tile.size == expected.size
            difference = np.abs(np.asarray(tile, dtype=float) - np.asarray(expected, dtype=float))
            assert difference.mean() < 6
    for place in ((13, 0, 0), (12, 5, 0), (12, 0, 6)):
        with pytest.raises(NotFound):
            store.read_slide_tile(uid, *place)


def test_small_pictures_of_large_levels_are_made_in_parts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    store, uid = house.open_as("paul").store, house.uids["svs"]
    whole = store.read_slide_tile(uid, 9, 0, 0)
    monkeypatch.setattr(tiles, "BLOCK_PX", 300)
    parts = store.read_slide_tile(uid, 9, 0, 0)
    seen = [np.asarray(Image.open(BytesIO(each)), dtype=float) for each in (whole, parts)]
    assert seen[0].shape == seen[1].shape
    assert np.abs(seen[0] - seen[1]).mean() < 4
    monkeypatch.setattr(tiles, "MOST_SOURCE_PX", 10**6)
    with pytest.raises(InvalidRequest, match="no levels small enough"):
        store.read_slide_tile(uid, 9, 0, 0)


# -- over HTTP -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[TestClient]:
    app = create_app()
    with serve_as(app, believe_header(PEOPLE), home=house.settings.home):
        yield TestClient(app, raise_server_exceptions=False, headers={"person": "paul"})


def test_viewers_find_the_tiles_by_the_dzi(client: TestClient, house: House) -> None:
    answer = client.get(f"/slides/{house.uids['svs']}/dzi")
    assert answer.headers["content-type"].startswith("application/xml")
    image = ElementTree.fromstring(answer.content)  # noqa: S314 - our own answer
    assert (image.get("TileSize"), image.get("Overlap"), image.get("Format")) == ("510", "1", "jpg")
    size = image.find("{*}Size")
    assert size is not None
    assert (size.get("Width"), size.get("Height")) == ("2220", "2967")
    tile = client.get(f"{image.get('Url')}12/4_5.jpg")
    assert tile.status_code == 200
    assert tile.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(tile.content)).size == (181, 418)


def test_tiles_are_not_sent_twice(client: TestClient, house: House) -> None:
    url = f"/slides/{house.uids['svs']}/tiles/12/0_0.jpg"
    first = client.get(url)
    assert first.headers["cache-control"].startswith("private")
    again = client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(
        f"/slides/{house.uids['svs']}/tiles/12/1_0.jpg", headers={"If-None-Match": first.headers["etag"]}
    )
    assert other.status_code == 200
    stranger = {"If-None-Match": first.headers["etag"], "person": "rhea"}
    assert client.get(url, headers=stranger).status_code == 403


def test_questions_outside_the_slide_are_answered_so(client: TestClient, house: House) -> None:
    base = f"/slides/{house.uids['svs']}"
    for path, status in {
        "/tiles/13/0_0.jpg": 404,
        "/tiles/12/99_0.jpg": 404,
        "/tiles/12/-1_0.jpg": 422,
        "/tiles/12/0_0.png": 404,
        "/tiles/99999999999/0_0.jpg": 422,
        "/levels/1/region": 404,
        "/levels/0/region?width=5000": 422,
        "/levels/0/region?x=99999999999": 422,
        "/levels/0/region?x=-50&width=100&height=1": 200,
    }.items():
        assert client.get(f"{base}{path}").status_code == status, path
    assert client.get("/slides/1.2.3/dzi").status_code == 404
    assert client.get("/slides/..%2F..%2Fx/dzi").status_code in (404, 422)


def test_regions_over_http_are_the_same_bytes(client: TestClient, house: House) -> None:
    for name in ALL:
        slide = house.slide(name)
        level = len(slide.levels) - 1
        size = min(slide.levels[level].width, 100), min(slide.levels[level].height, 40)
        query = {"x": 3, "y": 5, "width": size[0], "height": size[1]}
        answer = client.get(f"/slides/{house.uids[name]}/levels/{level}/region", params=query)
        expected = slide.read_pixels(level, 3, 5, *size)
        assert np.array_equal(np.frombuffer(answer.content, np.uint8).reshape(expected.shape), expected)


def test_a_tree_is_written_and_read_again(house: House, tmp_path: Path) -> None:
    """What a researcher does next: keep a level as Zarr."""
    tree = house.slide("full").datatree(chunks={})
    tree["1"].to_dataset().to_zarr(tmp_path / "level.zarr")
    kept = xr.open_zarr(tmp_path / "level.zarr")
    assert np.array_equal(kept["image"].to_numpy(), tree["1"]["image"].to_numpy())


# -- as DICOMweb -----------------------------------------------------------------------------------

FORMATS = ["svs", "ndpi", "mrxs", "tiff", "ome"]


def find_place(house: House, name: str) -> str:
    record = house.series(name).record
    return f"/dicomweb/studies/{record.StudyInstanceUID}/series/{record.SeriesInstanceUID}"


@pytest.mark.parametrize("name", FORMATS)
def test_a_slide_file_is_a_dicom_slide_to_dicomweb(client: TestClient, house: House, name: str) -> None:
    place, slide = find_place(house, name), house.slide(name)
    headers = [Dataset.from_json(each) for each in client.get(f"{place}/metadata").json()]
    assert [(each.TotalPixelMatrixColumns, each.TotalPixelMatrixRows) for each in headers] == [
        (level.width, level.height) for level in slide.levels
    ]
    listed = client.get(f"{place}/instances").json()
    assert [each["00080018"]["Value"][0] for each in listed] == [each.SOPInstanceUID for each in headers]
    again = [each["00080018"]["Value"][0] for each in client.get(f"{place}/metadata").json()]
    assert again == [each.SOPInstanceUID for each in headers]
    for number, header in enumerate(headers):
        assert header.SOPClassUID == VLWholeSlideMicroscopyImageStorage
        assert header.PatientID == house.series(name).record.PatientID
        columns = -(-header.TotalPixelMatrixColumns // header.Columns)
        assert header.NumberOfFrames == columns * -(-header.TotalPixelMatrixRows // header.Rows)
        if slide.record.mpp_x is not None:
            spacing = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
            assert float(spacing[1]) * 1000 == pytest.approx(slide.mpp[0] * slide.record.scale(number)[0])
        last = header.NumberOfFrames
        answer = client.get(
            f"{place}/instances/{header.SOPInstanceUID}/frames/{last}",
            headers={"Accept": "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50"},
        )
        assert answer.status_code == 200, answer.text
        frame = np.asarray(Image.open(BytesIO(answer.content)), dtype=int)
        x, y = (last - 1) % columns * header.Columns, (last - 1) // columns * header.Rows
        expected = slide.read_pixels(number, x, y, header.Columns, header.Rows)
        assert frame.shape == expected.shape
        assert np.abs(frame - expected).mean() < 8
        one = client.get(f"{place}/instances/{header.SOPInstanceUID}/metadata").json()
        assert Dataset.from_json(one[0]).TotalPixelMatrixRows == header.TotalPixelMatrixRows


def test_dicomweb_refuses_what_a_slide_file_has_not(client: TestClient, house: House) -> None:
    place = find_place(house, "svs")
    uid = client.get(f"{place}/metadata").json()[0]["00080018"]["Value"][0]
    held = house.series("svs").instances[0].SOPInstanceUID
    for path, status in {
        f"{place}/instances/{uid}/frames/31": 404,
        f"{place}/instances/{uid}/frames/0": 404,
        f"{place}/instances/{uid}": 404,
        f"{place}/instances/{held}": 415,
        f"{place}/instances/1.2.3/frames/1": 404,
        f"{place}/instances/{uid}/bulkdata/7FE00010": 404,
        f"{find_place(house, 'ndpi')}/instances/{uid}/frames/1": 404,
        place: 415,
    }.items():
        assert client.get(path).status_code == status, path
    for path in (f"{place}/metadata", f"{place}/instances", f"{place}/instances/{uid}/frames/1"):
        assert client.get(path, headers={"person": "rhea"}).status_code == 403


def test_frames_of_a_slide_file_can_be_had_uncompressed(client: TestClient, house: House) -> None:
    place = find_place(house, "ome")
    uid = client.get(f"{place}/metadata").json()[0]["00080018"]["Value"][0]
    native = {"Accept": "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"}
    answer = client.get(f"{place}/instances/{uid}/frames/1", headers=native)
    frame = np.frombuffer(answer.content, np.uint8).reshape(512, 512, 3).astype(int)
    assert np.abs(frame - house.slide("ome").read_pixels(0, 0, 0, 512, 512)).mean() < 8


HOLD = """
import sys
from pathlib import Path
from aurelius_catalog.slides.unpacking import unpack
folder, remove = unpack(Path(sys.argv[1]))
print(folder, flush=True)
sys.stdin.read()
remove()
"""


def test_what_a_killed_process_unpacked_is_removed_by_the_next(house: House, tmp_path: Path, monkeypatch: Any) -> None:
    (archive,) = house.settings.files.rglob("*.mrxs.zip")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", HOLD, str(archive)]
    holders = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    try:
        killed, living = [Path(holder.stdout.readline().strip()) for holder in holders]
        assert (killed / "slide.mrxs").exists()
        holders[0].kill()
        holders[0].wait()
        slide = house.series("mrxs").open_slide()
        assert not killed.exists()
        assert (living / "slide.mrxs").exists()
        assert len(list(tmp_path.iterdir())) == 4  # two folders, each with its lock
        slide.close()
        del slide
        gc.collect()
        holders[1].communicate("", 30)
        assert list(tmp_path.iterdir()) == []
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
