"""Slides, NIfTI volumes and pictures on their whole way: from the inbox to what the catalog answers about them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import nibabel as nib
import numpy as np
import pytest
import tifffile
from fastapi.testclient import TestClient
from openslide import OpenSlide
from PIL import Image
from pydicom import Dataset, dcmread

from aurelius_catalog import Catalog, open_catalog
from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidLabel, InvalidRequest, InvalidVolume
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.records import Segment
from aurelius_catalog.series import Series
from aurelius_catalog.service import dicomweb, rest
from aurelius_catalog.service.stores import read_settings
from aurelius_intake.certificates.verification import verify_certificate
from aurelius_intake.processing.pipeline import Pipeline
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import create_vault, open_vault
from aurelius_intake.zone.items import IntakeItem, ItemState
from support.slide_files import SECRET, make_pixels, write_mirax, write_ndpi, write_pyramid

PATIENT = {"PatientID": "PAT-48151623", "PatientName": "Plantagenet^Petra", "StudyDate": "20190712"}
AFFINE = np.array([[-0.9, 0, 0, 90], [0, 0.8, 0, -126], [0, 0, 1.1, -72], [0, 0, 0, 1.0]])


@dataclass
class House:
    """A house into which one of each came."""

    settings: IntakeSettings
    desk: Pipeline
    items: dict[str, IntakeItem]

    @property
    def catalog(self) -> Catalog:
        return open_catalog(home=self.settings.home, person=Person.service("test"))

    def find(self, media_type: str) -> Series:
        return next(each for each in self.catalog.search() if each.instances[0].media_type == media_type)

    def take(self) -> dict[str, IntakeItem]:
        self.desk.work(Event())
        return {item.name: item for item in self.desk.items.find()}


def plant(source: Path, target: Path) -> None:
    """Copy a DICOM slide with identifying values where microscopy has room for them."""
    dataset = dcmread(source)
    dataset.PatientID, dataset.PatientName = PATIENT["PatientID"], PATIENT["PatientName"]
    dataset.ContainerIdentifier = dataset.BarcodeValue = dataset.LabelText = SECRET
    dataset.ContainerDescription = f"Slide of {PATIENT['PatientName']} {SECRET}"
    specimen, issuer = dataset.SpecimenDescriptionSequence[0], Dataset()
    issuer.LocalNamespaceEntityID = SECRET
    dataset.IssuerOfTheContainerIdentifierSequence = specimen.IssuerOfTheSpecimenIdentifierSequence = [issuer]
    specimen.SpecimenIdentifier = SECRET
    specimen.SpecimenShortDescription = f"{SECRET} short"
    specimen.SpecimenDetailedDescription = f"{SECRET} in detail"
    target.parent.mkdir(exist_ok=True)
    dataset.save_as(target)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, data: Path) -> House:
    home = tmp_path_factory.mktemp("house")
    settings = IntakeSettings(home=home, intake_quiet_s=0)
    create_vault(settings)
    (home / "projects.toml").write_text('[brain]\nModality = ["none"]\n')
    inbox = settings.identified / "inbox" / "north"
    inbox.mkdir(parents=True)
    shutil.copy(data / "wsi" / "CMU-1-Small-Region.svs", inbox / "a.svs")
    shutil.copy(data / "wsi" / "broken.svs", inbox / "broken.svs")
    for path in (data / "wsi" / "cmu-1-dicom").iterdir():
        plant(path, inbox / "dicom" / path.name)
    write_ndpi(inbox / "n.ndpi")
    write_mirax(inbox / "m.mrxs")
    write_pyramid(inbox / "t.tif", compression="lzw")
    write_pyramid(inbox / "lost.tif", big=True)
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    volume = nib.Nifti1Image(voxels, AFFINE)
    volume.header["descrip"] = SECRET.encode()
    volume.to_filename(inbox / "v.nii.gz")
    Image.fromarray(make_pixels(64, 48, 1)).save(inbox / "p.png")
    for name, more in {"a.svs": {}, "n.ndpi": {}, "m.mrxs": {}, "t.tif": {}, "p.png": {"Modality": "XC"}}.items():
        (inbox / f"{name}.json").write_text(json.dumps({**PATIENT, **more}))
    (inbox / "v.json").write_text(json.dumps({**PATIENT, "Modality": "MR", "project": "brain"}))
    built = House(settings, Pipeline(settings, open_vault(settings)), {})
    built.items = built.take()
    return built


def test_each_ends_as_it_should(house: House) -> None:
    ended = {name: item.state for name, item in house.items.items() if not name.startswith("dicom")}
    assert ended == {
        **dict.fromkeys(["a.svs", "n.ndpi", "m.mrxs", "t.tif", "v.nii.gz", "p.png"], ItemState.STORED),
        **dict.fromkeys(["broken.svs", "lost.tif"], ItemState.QUARANTINED),
    }
    assert "PatientID" in str(house.items["lost.tif"].reason)
    assert not any(path.is_file() for path in (house.settings.identified / "inbox").rglob("*"))
    kept = house.settings.identified / "processed" / "north"
    assert (kept / "a.svs.json").is_file()
    assert (kept / "m" / "Data0000.dat").is_file()


def test_nothing_identifying_is_in_any_byte_the_catalog_holds(house: House, data: Path) -> None:
    source = data / "wsi" / "CMU-1-Small-Region.svs"
    with tifffile.TiffFile(source) as tiff:
        strips = [source.read_bytes()[at : at + 64] for at in tiff.pages[2].dataoffsets]
    words = [SECRET, "Plantagenet", "PAT-48151623", "20190712", "b414003d-95c6-48b0", "CPAPERIOCS", "12/29/09"]
    for path in (house.settings.home / "catalog").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [word for word in words if word.encode() in content], path.name
        assert not any(strip in content for strip in strips)


def test_their_certificates_hold(house: House) -> None:
    studies = {series.record.StudyInstanceUID for series in house.catalog.search()}
    assert len(studies) == 7
    for study in studies:
        found = verify_certificate(house.settings, study, house.desk.vault)
        assert not found.findings
        assert found.values


def test_slides_are_opened_where_they_lie(house: House, data: Path) -> None:
    with (
        house.find("image/x-aperio-svs").open_slide() as slide,
        OpenSlide(data / "wsi" / "CMU-1-Small-Region.svs") as source,
    ):
        for place in ((0, 0), (1000, 1500), (2000, 2700)):
            shown, expected = (each.read_region(place, 0, (300, 300)) for each in (slide, source))
            assert np.array_equal(np.asarray(shown), np.asarray(expected))
        assert set(slide.associated_images) == {"thumbnail"}
    for media_type in ("image/x-hamamatsu-ndpi", "application/x-mirax+zip", "image/tiff"):
        with house.find(media_type).open_slide() as slide:
            assert not slide.associated_images


def test_a_nifti_is_a_volume_with_its_place(house: House) -> None:
    series = house.find("application/x-nifti")
    assert series.record.projects == ("brain",)
    image = series.to_xarray()
    assert image.dims == ("z", "y", "x")
    assert np.array_equal(image.to_numpy(), np.arange(120).reshape(4, 5, 6).transpose(2, 1, 0))
    assert image.attrs["spacing_mm"] == pytest.approx([1.1, 0.8, 0.9])
    assert np.allclose(image.attrs["affine_lps"], np.diag([-1, -1, 1, 1]) @ AFFINE)
    assert series.volume().array.shape == (6, 5, 4)
    with pytest.raises(InvalidRequest, match="is no slide"):
        series.open_slide()


def test_questions_that_make_no_sense_are_answered_so(house: House) -> None:
    slide = house.find("image/x-aperio-svs")
    assert slide.record.n_frames == 0
    with pytest.raises(InvalidVolume, match="open_slide"):
        slide.to_xarray()
    anton = open_catalog(home=house.settings.home, person=Person.of("anton", ["role-annotator", "project-brain"]))
    volume = house.find("application/x-nifti").record
    with pytest.raises(InvalidLabel, match="no DICOM"):
        anton.store.add_annotation(
            volume.SeriesInstanceUID, np.ones((6, 5, 4), np.uint8), [Segment(number=1, label="x")], origin="notebook"
        )
    assert anton.store.lease_next() is None


def test_the_same_slide_again_is_a_duplicate(house: House, data: Path) -> None:
    inbox = house.settings.identified / "inbox" / "north"
    shutil.copy(data / "wsi" / "CMU-1-Small-Region.svs", inbox / "again.svs")
    (inbox / "again.svs.json").write_text(json.dumps(PATIENT))
    before = len(house.catalog.search())
    assert house.take()["again.svs"].state == ItemState.DUPLICATE
    assert len(house.catalog.search()) == before


def test_a_dicom_slide_loses_label_and_overview_and_opens(house: House, data: Path) -> None:
    ended = {}
    for path in (data / "wsi" / "cmu-1-dicom").iterdir():
        kind = dcmread(path, stop_before_pixels=True).ImageType[2]
        ended[kind] = house.items[f"dicom/{path.name}"].state
        if kind == "VOLUME":
            source = path
    assert ended == dict.fromkeys(["VOLUME", "THUMBNAIL"], ItemState.STORED) | dict.fromkeys(
        ["LABEL", "OVERVIEW"], ItemState.QUARANTINED
    )
    series = next(each for each in house.catalog.search(Modality="SM") if each.record.n_frames)
    with series.open_slide() as slide, OpenSlide(source) as before:
        assert set(slide.associated_images) <= {"thumbnail"}
        assert np.array_equal(
            np.asarray(slide.read_region((0, 0), 0, slide.dimensions)),
            np.asarray(before.read_region((0, 0), 0, before.dimensions)),
        )


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is missing: apt-get install dicom3tools")
def test_a_dicom_slide_stays_valid(house: House) -> None:
    series = next(each for each in house.catalog.search(Modality="SM") if each.record.n_frames)
    for instance in series.instances:
        path = house.settings.files / instance.path
        said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, timeout=20)
        assert not [line for line in said.stderr.splitlines() if line.startswith("Error")]


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    app = create_service("catalog")
    mount_router(app, dicomweb.router)
    mount_router(app, rest.router)
    app.dependency_overrides[current_person] = lambda: Person.of("stella", ["role-steward"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURELIUS_HOME", str(house.settings.home))
        read_settings.cache_clear()
        read_settings()
        yield TestClient(app, raise_server_exceptions=False)
    read_settings.cache_clear()


@pytest.mark.parametrize("media_type", ["image/x-aperio-svs", "application/x-nifti"])
def test_dicomweb_says_what_it_cannot_hand_out_and_where_to_get_it(
    house: House, client: TestClient, media_type: str
) -> None:
    series = house.find(media_type)
    study, uid = series.record.StudyInstanceUID, series.record.SeriesInstanceUID
    instance = series.instances[0].SOPInstanceUID
    root = f"/dicomweb/studies/{study}"
    assert len(client.get(f"{root}/series/{uid}/instances").json()) == 1
    below = ["", f"/series/{uid}", f"/series/{uid}/instances/{instance}"]
    below += [f"/series/{uid}/metadata"] if media_type == "application/x-nifti" else []  # slides have levels to tell of
    below += [f"/series/{uid}/instances/{instance}/{part}" for part in ("metadata", "frames/1")]
    for path in below:
        answer = client.get(root + path)
        assert answer.status_code == 415, path
        assert "instances/{its UID}/file" in answer.json()["detail"]
    fetched = client.get(f"/instances/{instance}/file")
    assert fetched.headers["content-type"] == media_type
    assert fetched.content == (house.settings.files / series.instances[0].path).read_bytes()


def test_heads_that_show_a_face_are_flagged(house: House, data: Path) -> None:
    inbox = house.settings.identified / "inbox" / "north"
    nib.Nifti1Image(np.zeros((180, 200, 160), np.uint8), np.diag([1.2, 1.2, 1.2, 1])).to_filename(inbox / "head.nii")
    head = {**PATIENT, "Modality": "MR", "project": "brain", "BodyPartExamined": "BRAIN"}
    (inbox / "head.json").write_text(json.dumps(head))
    shutil.copytree(data / "mr-siemens-sagittal", inbox / "sagittal")
    for path in (inbox / "sagittal").iterdir():
        dataset = dcmread(path)
        dataset.BodyPartExamined, dataset.SliceThickness = "HEAD", "3"
        del dataset[0x00180088:0x00180089]
        dataset.save_as(path)
    house.take()
    flagged = {series.record.BodyPartExamined: series.record.flags for series in house.catalog.search(Modality="MR")}
    assert flagged == {None: (), "BRAIN": ("face",), "HEAD": ("face",)}


def test_files_are_named_for_what_they_are(house: House) -> None:
    suffixes = {"image/x-aperio-svs": ".svs", "application/x-mirax+zip": ".mrxs.zip", "application/x-nifti": ".nii"}
    for media_type, suffix in suffixes.items():
        assert house.find(media_type).instances[0].path.endswith(suffix)
