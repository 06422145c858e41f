"""STOW-RS: results sent back to the study they were derived from; what identifies, or fits nowhere, is refused."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import CTImageStorage
from sqlalchemy import select

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.objects import StructureSet
from aurelius_catalog.service import dicomweb
from aurelius_catalog.service.stow import clear_arrivals
from support.builders import write_ct
from support.derived import make_capture, make_map, make_presentation, make_report, make_segmentation, make_structures
from support.intake_house import House
from support.service_client import serve_as

PEOPLE = {
    "rhea": Person.of("rhea", ["role-researcher", "site-north"]),
    "bram": Person.of("bram", ["role-researcher", "project-brain"]),
    "nora": Person.of("nora", ["role-clinician", "site-north"]),
}
ACCEPTED, REFUSED, OTHER = "00081199", "00081198", "0008119A"

pytestmark = pytest.mark.filterwarnings("ignore:The string .* is unlikely to represent:UserWarning")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("house"))
    write_ct(house.inbox() / "first", 1, PatientID="P1")
    write_ct(house.inbox() / "second", 2, PatientID="P2")
    _ = house.vault
    house.work()
    assert house.count() == {"stored": 6}
    return house


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[TestClient]:
    app = create_service("catalog")
    mount_router(app, dicomweb.router)
    who = ["rhea"]
    client = TestClient(app, raise_server_exceptions=False)
    client.who = who  # type: ignore[attr-defined]
    with serve_as(app, lambda: PEOPLE[who[0]], home=house.home, intake_reserve_mb=0):
        yield client


@pytest.fixture
def sources(house: House) -> list[Dataset]:
    """Give the images of the first study, as a researcher reads them."""
    return read_images(house, 0)


def read_images(house: House, number: int) -> list[Dataset]:
    store, record = house.store, [each for each in house.list_series() if each.SOPClassUID == CTImageStorage][number]
    return [
        dcmread(BytesIO(store.read_file(each.SOPInstanceUID)))
        for each in store.list_instances(record.SeriesInstanceUID)
    ]


def send(client: TestClient, *objects: Dataset | bytes, study: str = "", person: str = "rhea") -> Response:
    client.who[0] = person  # type: ignore[attr-defined]
    parts = b""
    for each in objects:
        if isinstance(each, Dataset):
            buffer = BytesIO()
            dcmwrite(buffer, each, enforce_file_format=True)
            each = buffer.getvalue()
        parts += b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=XX'
    path = f"/dicomweb/studies/{study}".rstrip("/")
    answer = client.post(path, content=parts + b"--XX--\r\n", headers={"Content-Type": kind})
    client.who[0] = "rhea"  # type: ignore[attr-defined]
    return answer


def read_refusal(answer: Response) -> tuple[int, str]:
    """Return reason and words of the one object that was refused."""
    (item,) = answer.json()[REFUSED]["Value"]
    return item["00081197"]["Value"][0], item["0040A160"]["Value"][0]


def test_segmentation_becomes_the_persons_next_label(client: TestClient, house: House, sources: list[Dataset]) -> None:
    sent = make_segmentation(sources)
    answer = send(client, sent)
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()[ACCEPTED]["Value"]
    assert item["00081155"]["Value"] == [sent.SOPInstanceUID]
    store = LocalStore(house.settings, PEOPLE["rhea"])
    label = store.list_annotations(sources[0].SeriesInstanceUID)[-1]
    assert (label.author, label.origin, label.SOPInstanceUID) == ("rhea", "dicomweb", sent.SOPInstanceUID)
    assert [(segment.number, segment.label) for segment in label.segments] == [(1, "nodule")]
    voxels = Catalog(store).series(sources[0].SeriesInstanceUID).segmentations[-1].to_xarray().to_numpy()
    assert np.argwhere(voxels).tolist() == [[1, y, x] for y in (2, 3, 4) for x in (2, 3)]
    with open_engine(house.settings).begin() as connection:
        events = connection.execute(select(audit_events.c.person, audit_events.c.action, audit_events.c.object)).all()
    assert ("rhea", "store result", sent.SOPInstanceUID) in [tuple(event) for event in events]


def test_what_is_kept_names_the_person_and_no_place(client: TestClient, house: House, sources: list[Dataset]) -> None:
    segmentation = make_segmentation(sources)
    segmentation.private_block(0x0011, "SOMEBODY", create=True).add_new(1, "LO", "Plantagenet^Petra")
    report = make_report(sources, segmentation)
    assert send(client, report, segmentation).status_code == 200  # the report refers to what follows it
    kept = [dcmread(BytesIO(house.store.read_file(each.SOPInstanceUID))) for each in (segmentation, report)]
    assert kept[0].ContentCreatorName == "rhea^"
    assert (kept[0].DeviceSerialNumber, kept[1].InstitutionName) == ("REMOVED", "REMOVED")
    assert kept[0].PatientIdentityRemoved == "YES"
    assert kept[0].DeidentificationMethod == sources[0].DeidentificationMethod
    assert not any(element.tag.is_private for element in kept[0])
    for each in kept:
        assert "Doe" not in str(each)
        assert "Petra" not in str(each)
    assert "rhea^" in str(kept[1])


def test_a_report_may_say_whose_codes_it_uses(client: TestClient, sources: list[Dataset]) -> None:
    """As the reports do that OHIF writes: codes of dcmjs, with the name of the scheme."""
    segmentation = make_segmentation(sources)
    report, scheme = make_report(sources, segmentation), Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeVersion = "99dcmjs", "0"
    scheme.CodingSchemeName = "Codes used for dcmjs"
    scheme.CodingSchemeResponsibleOrganization = "https://github.com/dcmjs-org/dcmjs"
    report.CodingSchemeIdentificationSequence = [scheme]
    answer = send(client, segmentation, report)
    assert answer.status_code == 200, answer.text


def test_contours_join_the_images_they_were_drawn_on(client: TestClient, house: House, sources: list[Dataset]) -> None:
    sent = make_structures(sources)
    assert send(client, sent).status_code == 200
    opened = Catalog(LocalStore(house.settings, PEOPLE["rhea"])).series(sent.SeriesInstanceUID).open()
    assert isinstance(opened, StructureSet)
    assert (opened.find("nodule").kind, opened.referenced_series, opened.missing) == (
        "ORGAN",
        (sources[0].SeriesInstanceUID,),
        (),
    )
    assert opened.to_labelmap().sum(dim=("y", "x")).to_numpy().tolist()[1] > 0
    kept = opened.dataset
    assert (kept.OperatorsName, kept.RTROIObservationsSequence[0].ROIInterpreter, kept.StationName) == (
        "rhea^",
        "rhea^",
        "REMOVED",
    )


@pytest.mark.parametrize("fault", ["foreign images", "foreign frame", "no series", "no regions", "half a point"])
def test_contours_of_something_else_are_refused(client: TestClient, sources: list[Dataset], fault: str) -> None:
    sent = make_structures(sources)
    contour = sent.ROIContourSequence[0].ContourSequence[0]
    if fault == "foreign images":
        contour.ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.4.5"
    elif fault == "foreign frame":
        sent.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3.4.5"
    elif fault == "no series":
        sent.ReferencedFrameOfReferenceSequence = []
    elif fault == "no regions":
        sent.StructureSetROISequence = []
    else:
        contour.ContourData = contour.ContourData[:-1]
    answer = send(client, sent)
    assert (answer.status_code, read_refusal(answer)[0]) == (409, 0xA900), answer.text


@pytest.mark.parametrize("kind", ["capture", "map", "presentation"])
def test_other_results_join_their_study(client: TestClient, house: House, sources: list[Dataset], kind: str) -> None:
    sent = {
        "capture": lambda: make_capture(sources[0], np.tile(np.arange(64, dtype=np.uint8), (64, 1))),
        "map": lambda: make_map(sources),
        "presentation": lambda: make_presentation(sources),
    }[kind]()
    study = sources[0].StudyInstanceUID
    answer = send(client, sent, study=study)
    assert answer.status_code == 200, answer.text
    path = f"/dicomweb/studies/{study}/series/{sent.SeriesInstanceUID}/instances/{sent.SOPInstanceUID}"
    (item,) = answer.json()[ACCEPTED]["Value"]
    assert item["00081190"]["Value"] == [f"http://testserver{path}"]
    assert client.get(path, headers={"Accept": "application/dicom"}).status_code == 200
    found = client.get(f"/dicomweb/studies/{study}/instances", params={"SOPInstanceUID": sent.SOPInstanceUID}).json()
    assert len(found) == 1


def test_sent_again_it_is_welcome_and_changed_it_is_not(client: TestClient, sources: list[Dataset]) -> None:
    sent = make_map(sources)
    assert send(client, sent).status_code == 200
    assert send(client, sent).status_code == 200
    sent.SeriesDescription = "other"
    answer = send(client, sent)
    assert (answer.status_code, read_refusal(answer)[0]) == (409, 0x0111)


def test_one_bad_object_leaves_the_others(client: TestClient, house: House, sources: list[Dataset]) -> None:
    good, foreign = make_segmentation(sources), make_segmentation(sources)
    foreign.PatientID = "AUR-AAAAAAAAAAAAAAAA"
    answer = send(client, b"no DICOM", foreign, good)
    assert answer.status_code == 202
    body = answer.json()
    assert [item["00081155"]["Value"] for item in body[ACCEPTED]["Value"]] == [[good.SOPInstanceUID]]
    assert read_refusal(answer) == (0xA900, "PatientID is not the one of the study: take it from its images.")
    assert body[OTHER]["Value"][0]["00081197"]["Value"] == [0xC000]
    assert not list(house.settings.files.glob(".arriving-*"))


CHANGES = {
    "name": {"PatientName": "Plantagenet^Petra"},
    "birth date": {"PatientBirthDate": "19580417"},
    "accession number": {"AccessionNumber": "A48151623"},
    "other id": {"OtherPatientIDs": "PAT-48151623"},
    "referring physician": {"ReferringPhysicianName": "Lancaster^John"},
    "address": {"PatientAddress": "Rose Street"},
    "study description": {"StudyDescription": "Petra Plantagenet"},
    "foreign reference": {"FrameOfReferenceUID": "1.2.3.4.5"},
    "foreign image": {"ReferencedSOPInstanceUID": "1.2.3.4.5"},
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_what_identifies_is_refused_without_a_value_in_the_answer(
    client: TestClient, sources: list[Dataset], change: str
) -> None:
    sent = make_segmentation(sources)
    for keyword, value in CHANGES[change].items():
        item = sent.SharedFunctionalGroupsSequence[0] if keyword.startswith("Referenced") else sent
        setattr(item, keyword, value)
    answer = send(client, sent)
    assert answer.status_code == 409, answer.text
    reason, words = read_refusal(answer)
    assert reason == 0xA900
    assert next(iter(CHANGES[change])) in words
    assert next(iter(CHANGES[change].values())) not in answer.text


def test_text_in_the_pixels_is_refused(client: TestClient, sources: list[Dataset]) -> None:
    picture = Image.new("L", (512, 256), 20)
    font = ImageFont.load_default(28)
    ImageDraw.Draw(picture).text((20, 100), "PLANTAGENET PETRA 17.04.1958", fill=255, font=font)
    answer = send(client, make_capture(sources[0], np.asarray(picture)))
    assert (answer.status_code, read_refusal(answer)[0]) == (409, 0xA900)
    assert "pixels" in read_refusal(answer)[1]


def test_what_belongs_nowhere_is_refused(client: TestClient, house: House, sources: list[Dataset]) -> None:
    other = read_images(house, 1)
    image = deepcopy(sources[0])
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = hd.UID()
    assert image.SOPClassUID == CTImageStorage
    answer = send(client, image)
    assert (answer.status_code, read_refusal(answer)[0]) == (409, 0x0122)
    crossed = make_segmentation(sources)
    crossed.StudyInstanceUID, crossed.PatientID, crossed.PatientName = (
        other[0].StudyInstanceUID,
        other[0].PatientID,
        other[0].PatientID,
    )
    assert read_refusal(send(client, crossed))[0] == 0xA900  # drawn on another patient's images
    squatter = make_segmentation(sources)
    squatter.SeriesInstanceUID = sources[0].SeriesInstanceUID
    assert read_refusal(send(client, squatter))[0] == 0xA900
    assert read_refusal(send(client, make_map(sources), study=other[0].StudyInstanceUID))[0] == 0xA900
    climbing = make_map(sources)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        climbing.SeriesInstanceUID = "../../../../tmp/x"
        answer = send(client, climbing)
    assert (answer.status_code, OTHER in answer.json()) == (409, True)


def test_only_those_who_annotate_or_predict_and_see_the_study(
    client: TestClient, house: House, sources: list[Dataset]
) -> None:
    sent = make_segmentation(sources)
    before = house.describe_catalog()
    assert send(client, sent, person="nora").status_code == 403  # a clinician looks
    foreign = send(client, sent, person="bram")
    assert (foreign.status_code, read_refusal(foreign)[0]) == (403, 0x0124)
    assert send(client, sent, person="bram", study=sources[0].StudyInstanceUID).status_code == 404
    assert house.describe_catalog() == before


def test_bodies_that_are_no_objects_are_refused(client: TestClient) -> None:
    for kind, body, status in (
        ("application/json", b"[]", 415),
        ('multipart/related; type="application/dicom+json"; boundary=XX', b"--XX--", 415),
        ('multipart/related; type="application/dicom"', b"", 400),
        ('multipart/related; type="application/dicom"; boundary=XX', b"--XX\r\n\r\ncut off", 400),
        ('multipart/related; type="application/dicom"; boundary=XX', b"nothing of it", 400),
    ):
        answer = client.post("/dicomweb/studies", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, (kind, answer.text)
    assert send(client).status_code == 409


def test_what_a_killed_process_left_goes_at_the_next_start(house: House) -> None:
    old, new = (house.settings.files / f".arriving-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "x.part").write_bytes(b"half an object")
    os.utime(old, (0, 0))
    clear_arrivals(house.settings)
    assert (old.exists(), new.exists()) == (False, True)
    shutil.rmtree(new)


def test_nothing_is_left_of_what_was_refused(house: House) -> None:
    """After all of the above: every file belongs to a row of the index."""
    held = {
        each.path for record in house.list_series() for each in house.store.list_instances(record.SeriesInstanceUID)
    }
    assert {str(Path(path).relative_to(house.settings.files)) for path in house.list_stored()} == held
