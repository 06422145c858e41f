"""The release desk: what waits is shown, let through masked or refused for good, by stewards only, on the record."""

from __future__ import annotations

import asyncio
import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import pixel_array
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage
from sqlalchemy import select, update

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import AlreadyDecided, InvalidRequest, NotFound, PermissionDenied
from aurelius_catalog.hosting import login
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events, studies
from aurelius_deidentify.pixels import MaskRegion, PixelVerdict, Word, judge_pixels
from aurelius_intake import ItemState
from aurelius_intake.processing import drafting
from aurelius_intake.review import api
from aurelius_intake.review.release import ReleaseReview
from aurelius_intake.zone.decisions import Approvals
from support.builders import VISIT, write_ct
from support.intake_house import House
from support.screens import draw_screen, make_image, strip_pixels, to_part10

STEWARD = Person.of("stella", ["role-steward"])
HEADER = MaskRegion(0, 0, 640, 60)
FOUND = PixelVerdict(
    "person", "It may be a page.", (HEADER,), (Word("PLANTAGENET", 91.0, MaskRegion(30, 10, 120, 20)),), "ocr"
)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Make a house with one screen capture in quarantine; nothing is read twice, so that the tests stay quick."""
    judge = drafting.judge_pixels
    monkeypatch.setattr(
        drafting, "judge_pixels", lambda original, *rest: FOUND if original.Modality == "OT" else judge(original, *rest)
    )
    house = House(tmp_path / "home")
    screen = draw_screen([("PLANTAGENET PETRA", 30, 10, 24)])
    (house.inbox() / "screen.dcm").write_bytes(
        to_part10(make_image(screen, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT"))
    )
    assert house.work() == 1
    assert house.count() == {"quarantined": 1}
    return house


def list_audit(house: House, *actions: str) -> list[dict[str, object]]:
    with open_engine(house.settings).connect() as connection:
        rows = connection.execute(select(audit_events).order_by(audit_events.c.id)).mappings()
        return [dict(row) for row in rows if row["action"] in actions]


def test_what_waits_is_shown_with_image_reason_text_and_proposed_regions(house: House) -> None:
    (waiting,) = ReleaseReview(house.settings).list_waiting()
    assert (waiting.item.reason, waiting.words, waiting.regions) == (FOUND.reason, ("PLANTAGENET",), (HEADER,))
    assert (waiting.original.Modality, waiting.original.Columns, waiting.original.frames) == ("OT", 640, 1)
    assert waiting.original.SOPClass == "Secondary Capture Image Storage"
    shown = Image.open(BytesIO(ReleaseReview(house.settings).render(waiting.item.id)))
    assert shown.size == (640, 480)
    assert np.array_equal(np.asarray(shown), draw_screen([("PLANTAGENET PETRA", 30, 10, 24)]))
    with pytest.raises(InvalidRequest):
        ReleaseReview(house.settings).render(waiting.item.id, 1)
    with pytest.raises(NotFound):
        ReleaseReview(house.settings).render(waiting.item.id + 1)


def test_the_findings_are_for_their_owner_only(house: House) -> None:
    (found,) = (house.zone.root / "findings").iterdir()
    assert found.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is missing")
def test_a_released_object_is_stored_with_its_text_blacked_out(house: House) -> None:
    desk = ReleaseReview(house.settings)
    (waiting,) = desk.list_waiting()
    desk.release(waiting.item.id, STEWARD, "Only the header identifies.", [HEADER])
    assert desk.list_waiting() == []
    desk.release(waiting.item.id, STEWARD, "Only the header identifies.", [HEADER])  # again: nothing
    house.work()
    assert house.count() == {"released": 1, "stored": 1}
    assert house.list_originals("quarantine") == []
    (stored,) = house.list_stored()
    dataset = dcmread(stored)
    pixels = pixel_array(dataset)
    assert not pixels[:60].any()
    assert np.array_equal(pixels[60:], draw_screen([])[60:])
    assert (dataset.BurnedInAnnotation, dataset.PatientIdentityRemoved) == ("NO", "YES")
    assert judge_pixels(strip_pixels(dataset), stored.read_bytes(), {"plantagenet"}).outcome == "clean"
    (event,) = list_audit(house, "release")
    assert (event["person"], event["object"]) == ("stella", f"item {waiting.item.id}")
    assert event["detail"] == {
        "site": "north", "reason": "Only the header identifies.", "regions": 1, "was": FOUND.reason
    }  # fmt: skip
    (item,) = house.items.find(states=[ItemState.STORED])
    assert (item.verdict or {})["method"] == "person"


def test_released_without_regions_the_pixels_stay_as_they_are(house: House) -> None:
    desk = ReleaseReview(house.settings)
    (waiting,) = desk.list_waiting()
    desk.release(waiting.item.id, STEWARD, "A phantom: the name is invented.")
    house.work()
    (stored,) = house.list_stored()
    assert np.array_equal(pixel_array(dcmread(stored)), draw_screen([("PLANTAGENET PETRA", 30, 10, 24)]))


def test_an_overlay_behind_the_pixels_is_cleared_although_nobody_saw_it(house: House) -> None:
    values = np.full((64, 64), 0x8123, np.uint16)
    hiding = make_image(values, 4, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT", BitsStored=12, HighBit=11)
    hiding.add_new(0x60000102, "US", 15)
    (house.inbox() / "hiding.dcm").write_bytes(to_part10(hiding))
    house.work()
    desk = ReleaseReview(house.settings)
    (waiting,) = [each for each in desk.list_waiting() if each.original.hides_overlay]
    desk.release(waiting.item.id, STEWARD, "Nothing to be seen.")
    house.work()
    (stored,) = house.list_stored()
    assert set(np.frombuffer(dcmread(stored).PixelData, "<u2")) == {0x123}


def test_a_rejected_object_stays_where_it_is_for_good(house: House) -> None:
    desk = ReleaseReview(house.settings)
    (waiting,) = desk.list_waiting()
    desk.reject(waiting.item.id, STEWARD, "Not research data.")
    desk.reject(waiting.item.id, STEWARD, "Not research data.")
    assert desk.list_waiting() == []
    house.work()
    assert house.count() == {"rejected": 1}
    assert "north/screen.dcm" in house.list_originals("quarantine")
    (item,) = house.items.find()
    assert item.reason == "Rejected by stella: Not research data."
    (event,) = list_audit(house, "reject", "release")
    assert (event["action"], event["person"]) == ("reject", "stella")
    with pytest.raises(AlreadyDecided):
        desk.release(item.id, STEWARD, "After all.")


def test_only_stewards_decide_and_only_with_a_reason_that_names_nobody(house: House) -> None:
    desk = ReleaseReview(house.settings)
    (waiting,) = desk.list_waiting()
    number = waiting.item.id
    with pytest.raises(PermissionDenied):
        desk.release(number, Person.of("rhea", ["role-researcher"]), "I want it.")
    with pytest.raises(PermissionDenied):
        desk.reject(number, Person.of("rhea", ["role-researcher"]), "I do not want it.")
    for reason in ("", "   ", "x" * 1001, "It shows Plantagenet's name.", f"Number {VISIT.PatientID} again."):
        with pytest.raises(InvalidRequest):
            desk.release(number, STEWARD, reason)
        with pytest.raises(InvalidRequest):
            desk.reject(number, STEWARD, reason)
    with pytest.raises(InvalidRequest, match="outside"):
        desk.release(number, STEWARD, "Fine.", [MaskRegion(640, 0, 5, 5)])
    with pytest.raises(NotFound):
        desk.release(number + 1, STEWARD, "Fine.")
    assert list_audit(house, "release", "reject") == []
    assert house.count() == {"quarantined": 1}


class Killed(BaseException):
    """Stands for the process being killed."""


@pytest.mark.parametrize("step", ["append_event", "put_back", "advance"])
def test_a_release_that_was_cut_off_is_finished(step: str, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from aurelius_intake.review import release

    desk = ReleaseReview(house.settings)
    (waiting,) = desk.list_waiting()

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(desk.items if step == "advance" else release, step, die)
        with pytest.raises(Killed):
            desk.release(waiting.item.id, STEWARD, "Fine.", [HEADER])
    desk = ReleaseReview(house.settings)
    for again in desk.list_waiting():
        desk.release(again.item.id, STEWARD, "Fine.", [HEADER])
    house.work()
    assert desk.list_waiting() == []
    assert house.count() == {"released": 1, "stored": 1}
    assert not pixel_array(dcmread(house.list_stored()[0]))[:60].any()


def test_what_nobody_can_override_waits_again(house: House) -> None:
    paths = write_ct(house.inbox(), slices=1)
    paths[0].write_bytes(paths[0].read_bytes()[:-20])
    house.work()
    desk = ReleaseReview(house.settings)
    (waiting,) = [each for each in desk.list_waiting() if each.original.Modality == "CT"]
    desk.release(waiting.item.id, STEWARD, "It looks whole.")
    house.work()
    assert house.count() == {"quarantined": 2, "released": 1}


def test_a_conflict_can_only_be_rejected(house: House) -> None:
    (path,) = write_ct(house.inbox(), slices=1)
    content = path.read_bytes()
    house.work()
    path.write_bytes(content.replace(b"Phantom", b"Fantome"))
    house.work()
    desk = ReleaseReview(house.settings)
    (waiting,) = [each for each in desk.list_waiting() if each.item.state is ItemState.CONFLICT]
    with pytest.raises(InvalidRequest, match="rejected"):
        desk.release(waiting.item.id, STEWARD, "Take this one.")
    desk.reject(waiting.item.id, STEWARD, "The first one is right.")
    assert house.count() == {"quarantined": 1, "rejected": 1, "stored": 1}


def test_a_document_is_named_and_not_shown(house: House) -> None:
    letter = strip_pixels(make_image(draw_screen([]), number=2, SOPClassUID=EncapsulatedPDFStorage, Modality="DOC"))
    for keyword in ("Rows", "Columns"):
        delattr(letter, keyword)
    letter.EncapsulatedDocument, letter.MIMETypeOfEncapsulatedDocument = b"%PDF-1.4 ", "application/pdf"
    (house.inbox() / "letter.dcm").write_bytes(to_part10(letter))
    (house.inbox() / "notes.txt").write_text("not an image")
    house.work()
    waiting = {each.item.name: each for each in ReleaseReview(house.settings).list_waiting()}
    assert waiting["letter.dcm"].original.document == "application/pdf"
    assert not waiting["letter.dcm"].original.has_image
    with pytest.raises(InvalidRequest, match="application/pdf"):
        ReleaseReview(house.settings).render(waiting["letter.dcm"].item.id)


def test_frames_are_windowed_and_bounded(house: House) -> None:
    frames = np.stack([np.full((32, 2500), value, np.int16) for value in (0, 400)])
    frames[:, :, :1250] = -1000
    cine = make_image(
        frames, 3, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT", WindowCenter=200, WindowWidth=400
    )
    (house.inbox() / "wide.dcm").write_bytes(to_part10(cine))
    house.work()
    desk = ReleaseReview(house.settings)
    (waiting,) = [each for each in desk.list_waiting() if each.original.frames == 2]
    shown = np.asarray(Image.open(BytesIO(desk.render(waiting.item.id, 1))))
    assert shown.shape == (26, 2048)
    assert (shown[5, 10], shown[5, 2000]) == (0, 255)


# -- over HTTP ---------------------------------------------------------------------------------------


class Client:
    """Asks the desk's routes as one person or another."""

    def __init__(self, house: House) -> None:
        self.person = STEWARD
        self.app = create_service("intake")
        mount_router(self.app, api.router)
        self.app.dependency_overrides[login.current_person] = lambda: self.person
        self.app.dependency_overrides[api.open_review] = lambda: ReleaseReview(house.settings)

    def get(self, path: str) -> httpx.Response:
        return self._ask("GET", path)

    def post(self, path: str, body: dict[str, object]) -> httpx.Response:
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())


def test_the_routes_are_for_stewards_and_nothing_is_cached(house: House) -> None:
    client = Client(house)
    answer = client.get("/desk")
    assert answer.headers["cache-control"] == "no-store"
    (entry,) = answer.json()
    assert (entry["has_image"], entry["words"], entry["regions"]) == (True, ["PLANTAGENET"], [[0, 0, 640, 60]])
    assert (entry["state"], entry["site"], entry["Rows"], entry["frames"]) == ("quarantined", "north", 480, 1)
    image = client.get(f"/desk/{entry['id']}/image?frame=0")
    assert (image.headers["content-type"], image.headers["cache-control"]) == ("image/png", "no-store")
    decision = {"reason": "Fine.", "regions": [[0, 0, 640, 60]]}
    client.person = Person.of("rhea", ["role-researcher"])
    for refused in (
        client.get("/desk"),
        client.get(f"/desk/{entry['id']}/image"),
        client.post(f"/desk/{entry['id']}/release", decision),
        client.post(f"/desk/{entry['id']}/reject", {"reason": "No."}),
    ):
        assert refused.status_code == 403
    client.person = STEWARD
    wrong = {"reason": "Fine.", "regions": [[0, 0, 0, 0]]}
    assert client.post(f"/desk/{entry['id']}/release", wrong).status_code == 400
    assert client.post(f"/desk/{entry['id']}/release", decision).status_code == 204
    assert client.post(f"/desk/{entry['id']}/reject", {"reason": "No."}).status_code == 409
    assert client.get("/desk").json() == []
    house.work()
    assert house.count() == {"released": 1, "stored": 1}


def test_approvals_survive_and_are_found_by_content(tmp_path: Path) -> None:
    approvals = Approvals(tmp_path)
    assert approvals.find("blake3:00ff") is None
    approvals.note_verdict(7, FOUND)
    assert Approvals(tmp_path).read_verdict(7) == FOUND
    approvals.forget_verdict(7)
    assert approvals.read_verdict(7) is None
    assert not [name for name in os.listdir(tmp_path / "findings") if name.startswith(".")]


def test_a_flagged_study_is_looked_at_and_accepted_once(house: House) -> None:
    paths = write_ct(house.home / "out", slices=3)
    for path in paths:
        path.rename(house.inbox() / path.name)
    house.work()
    (series,) = house.list_series()
    engine = open_engine(house.settings)
    with engine.begin() as connection:
        connection.execute(update(studies).values(flags=["face"]))
    client = Client(house)
    (entry,) = [each for each in client.get("/desk").json() if each["state"] == "flagged"]
    assert (entry["Modality"], entry["frames"], entry["has_image"]) == ("CT", 3, True)
    shown = [client.get(f"/desk/{entry['id']}/image?frame={number}") for number in range(4)]
    assert [answer.status_code for answer in shown] == [200, 200, 200, 404]
    assert len({answer.content for answer in shown[:3]}) == 3
    assert client.post(f"/desk/{entry['id']}/reject", {"reason": "No."}).status_code == 400
    assert client.post(f"/desk/{entry['id']}/release", {"reason": " "}).status_code == 400
    for _ in range(2):
        assert client.post(f"/desk/{entry['id']}/release", {"reason": "Needed for planning."}).status_code == 204
    assert [each for each in client.get("/desk").json() if each["state"] == "flagged"] == []
    (event,) = list_audit(house, "accept")
    assert event["object"] == series.StudyInstanceUID
    with engine.connect() as connection:
        assert connection.execute(select(studies.c.flags)).scalar() == ["face", "face-accepted"]
