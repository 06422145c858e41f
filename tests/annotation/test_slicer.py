"""An unmodified 3D Slicer against the real server, its real worker, and a real hub and proxy in between."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import httpx
import numpy as np
import pytest

from aurelius_annotation.server.images import write_nrrd
from aurelius_catalog.catalog import Catalog
from support.servers_annotation import House, temp_annotation
from support.servers_catalog import wait_until
from support.slicer import NODULE, Answer, Slicer, draw_strokes, encode, read_volume, scribble_params, take, write_nifti

WINDOWS = r"C:\Users\first.last\AppData\Local\Temp\Slicer\tmp8k2.nii.gz"


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return 2 * float(((found > 0) & (truth > 0)).sum()) / float((found > 0).sum() + (truth > 0).sum())


def open_case(house: House, slicer: Slicer, uid: str) -> tuple[str, np.ndarray]:
    """Find the id and the geometry of a certain case."""
    listed = slicer.call("GET", "/datastore/?output=all").json["objects"]
    image_id = next(name for name in listed if name.startswith(f"{uid}~"))
    return image_id, read_volume(slicer.download(image_id).body)[1]


def detail(answer: Answer) -> str:
    return str(answer.json["detail"])


def test_a_session_of_slicer_from_connect_to_the_next_case(house: House) -> None:
    uids = [house.add(), house.add()]
    slicer = house.server.open_slicer("anton")

    info = slicer.info().json
    assert info["models"]["nodule"]["type"] == "segmentation"
    assert info["models"]["Histogram+GraphCut"]["type"] == "scribbles"
    assert all(value for model in info["models"].values() for value in model["config"].values() if value != 0)
    assert {"name", "version", "labels", "trainers", "strategies", "scoring", "train_stats", "datastore"} <= set(info)
    assert "config" not in info

    image_id, image, affine = take(slicer)
    assert image.dtype == np.int16
    np.testing.assert_array_equal(image, house.phantoms[image_id.split("~")[0]].image)
    assert image_id in slicer.call("GET", "/datastore/?output=all").json["objects"]

    params, name, content = slicer.infer("nodule", image_id, {"device": "cpu"}).parts
    assert params["label_names"] == {"nodule": 1}
    assert name.endswith(".nrrd")
    found, found_affine = read_volume(content)
    np.testing.assert_allclose(found_affine, affine)
    assert dice(found, house.truth(image_id)) >= 0.7

    strokes = draw_strokes(house.truth(image_id))
    label = ("/tmp/Slicer/tmp1.nii.gz", write_nifti(strokes, affine))
    answer = slicer.infer("Histogram+GraphCut", image_id, scribble_params(image.shape), label)
    mask, mask_affine = read_volume(answer.parts[2])
    np.testing.assert_allclose(mask_affine, affine)
    assert mask[strokes == 3].all()
    assert not mask[strokes == 2].any()
    assert set(np.unique(mask)) == {0, 1}

    saved = slicer.save(image_id, (WINDOWS, write_nifti(found, affine)), NODULE)
    assert saved.status == 200, saved.body
    assert saved.json["image"] == image_id

    series = Catalog(house.open_as("rhea")).series(image_id.split("~")[0])
    [segmentation] = series.segmentations
    assert (segmentation.annotation.author, segmentation.annotation.origin) == ("anton", "slicer")
    assert [segment.label for segment in segmentation.annotation.segments] == ["nodule"]
    np.testing.assert_array_equal(segmentation.to_xarray().to_numpy(), found)

    following = slicer.next_sample().json["id"]
    assert following.split("~")[0] in uids
    assert following != image_id
    assert not [call for call in slicer.calls if call.split()[-1] not in ("200", "404")]
    assert {call for call in slicer.calls if call.endswith("404")} == {"GET /train/ 404"}


def test_saving_twice_makes_two_versions(house: House) -> None:
    uid = house.add()
    anton, rhea = house.server.open_slicer("anton"), house.server.open_slicer("rhea")
    for slicer, fill in ((anton, 1), (rhea, 0), (anton, 1)):
        image_id, affine = open_case(house, slicer, uid)
        label = np.full_like(house.truth(uid), 0)
        label[:3] = fill
        answer = slicer.save(image_id, ("x.nii.gz", write_nifti(label, affine)), {**NODULE, "comment": "second look"})
        assert answer.status == 200, answer.body
    records = house.open_as("rhea").list_annotations(uid)
    assert [record.author for record in records] == ["anton", "rhea", "anton"]
    assert len({(record.author, record.version) for record in records}) == 3
    assert records[0].comment == "second look"
    label = anton.call("GET", f"/datastore/label?label={image_id}&tag=final")
    assert "filename=" in label.headers["content-disposition"]
    assert int(read_volume(label.body)[0].sum()) == 3 * 96 * 96


def test_two_annotators_never_get_the_same_case(house: House) -> None:
    for _ in range(3):
        house.add()
    got: dict[str, list[str]] = {"anton": [], "rhea": []}

    def press_next(person: str) -> None:
        slicer = house.server.open_slicer(person)
        for _ in range(3):
            got[person].append(slicer.next_sample().json["id"].split("~")[0])

    threads = [threading.Thread(target=press_next, args=(person,)) for person in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got["anton"]) == len(got["rhea"]) == 3
    assert not set(got["anton"]) & set(got["rhea"])
    assert len(set(got["anton"])) == 1  # one's own lease is renewed, not a second case taken


def test_a_voxel_order_of_another_tool_lands_in_the_same_place(house: House) -> None:
    uid = house.add()
    slicer = house.server.open_slicer("anton")
    image_id, affine = open_case(house, slicer, uid)
    truth = house.truth(uid)
    flip = np.diag([-1.0, 1, -1, 1])
    flip[0, 3], flip[2, 3] = truth.shape[2] - 1, truth.shape[0] - 1
    answer = slicer.save(image_id, ("x.seg.nrrd", write_nrrd(truth[::-1, :, ::-1], affine @ flip)), NODULE)
    assert answer.status == 200, answer.body
    stored = Catalog(house.open_as("anton")).series(uid).segmentations[-1].to_xarray().to_numpy()
    np.testing.assert_array_equal(stored, truth)


def test_a_wrong_token_is_refused(house: House) -> None:
    for username, password in (("anton", "wrong"), ("anton", ""), ("rhea", house.server.open_slicer("anton").password)):
        slicer = Slicer(house.server.url, username, password)
        answer = slicer.info()
        assert answer.status in (401, 422), answer.body
        assert "detail" in answer.json
    wrong = Slicer(house.server.url, "anton", "x").send("GET", "/info/", token="invented")  # type: ignore[arg-type]
    assert wrong.status == 401
    assert Slicer(house.server.url, "anton", "x").send("GET", "/auth/token/valid", token="invented").status == 401


def test_who_belongs_to_nothing_cannot_log_in(house: House) -> None:
    token = house.server.hub.api("POST", "users/gil/tokens", json={}).json()["token"]
    assert Slicer(house.server.url, "gil", token).info().status == 401
    assert Slicer(house.server.url, "gil", token).send("GET", "/info/", token=token).status == 403


def test_series_of_other_projects_stay_closed(house: House) -> None:
    uid = house.add()
    stranger = house.server.open_slicer("bram")
    label = ("x.nii.gz", b"whatever")
    for answer in (
        stranger.infer("nodule", uid, {}),
        stranger.save(uid, label, NODULE),
        stranger.call("GET", f"/datastore/label?label={uid}&tag=final"),
        stranger.call("GET", f"/datastore/image?image={uid}"),
        stranger.download(uid),
    ):
        assert answer.status == 403, answer.body
        assert "nodule" not in detail(answer)
    assert uid not in stranger.call("GET", "/datastore/?output=all").body.decode()
    assert house.open_as("rhea").list_annotations(uid) == []


def test_who_may_only_look_cannot_annotate(house: House) -> None:
    uid = house.add(site="north")
    nora = house.server.open_slicer("nora")
    image_id, affine = open_case(house, nora, uid)
    for answer in (
        nora.next_sample(),
        nora.infer("nodule", image_id, {}),
        nora.save(image_id, ("x.nii.gz", write_nifti(house.truth(uid), affine)), NODULE),
    ):
        assert answer.status == 403
        assert "annotator" in detail(answer)
    assert house.open_as("rhea").list_annotations(uid) == []


def test_a_ticket_works_for_its_person_only(house: House) -> None:
    uid = house.add()
    anton, rhea = house.server.open_slicer("anton"), house.server.open_slicer("rhea")
    image_id, affine = open_case(house, anton, uid)
    label = ("x.nii.gz", write_nifti(house.truth(uid), affine))
    assert rhea.infer("nodule", image_id, {}).status == 403
    assert rhea.save(image_id, label, NODULE).status == 403
    assert rhea.call("GET", f"/datastore/image?image={image_id}").status == 403
    assert anton.download(f"{uid}~{'0' * 32}").status == 403
    assert anton.download(uid).status == 403
    assert house.open_as("rhea").list_annotations(uid) == []


def read_kept(house: House, reason: str) -> dict[str, Any]:
    """Find the newest upload that was kept aside, by words of its answer."""
    folder = house.settings.home / "annotation" / "rejected"
    [card] = [path for path in folder.glob("*.json") if path.stem in reason]
    known: dict[str, Any] = json.loads(card.read_text())
    known["content"] = card.with_suffix(".upload").read_bytes()
    return known


def test_a_label_of_another_image_is_refused_and_kept(house: House) -> None:
    uid = house.add()
    slicer = house.server.open_slicer("anton")
    image_id, affine = open_case(house, slicer, uid)
    elsewhere = affine.copy()
    elsewhere[2, 3] += 3.0
    content = write_nifti(house.truth(uid), elsewhere)
    answer = slicer.save(image_id, ("x.nii.gz", content), NODULE)
    assert answer.status == 422
    assert "beside the image" in detail(answer)
    kept = read_kept(house, detail(answer))
    assert (kept["person"], kept["SeriesInstanceUID"], kept["content"]) == ("anton", uid, content)
    assert house.open_as("rhea").list_annotations(uid) == []
    assert slicer.save(image_id, ("x.nii.gz", write_nifti(house.truth(uid), affine)), NODULE).status == 200


@pytest.mark.parametrize("filename", ["x.nii.gz", "x.nrrd", "x.seg.nrrd", "x.py", "../../../x.nii.gz", ""])
def test_garbage_is_refused_and_harms_nothing(house: House, filename: str) -> None:
    uid = house.add()
    slicer = house.server.open_slicer("anton")
    image_id, _ = open_case(house, slicer, uid)
    answer = slicer.save(image_id, (filename, b"\x00garbage" * 100), NODULE)
    assert answer.status == 422, answer.body
    if filename:
        assert read_kept(house, detail(answer))["content"] == b"\x00garbage" * 100
    assert house.open_as("rhea").list_annotations(uid) == []


def test_paths_lead_nowhere(house: House) -> None:
    uid = house.add()
    slicer = house.server.open_slicer("anton")
    image_id, affine = open_case(house, slicer, uid)
    for trick in ("../../../../etc/passwd", "/etc/passwd", "..%2F..%2Fx", "file:///etc/passwd"):
        assert slicer.infer("nodule", trick, {}).status == 404
        assert slicer.save(trick, ("x.nii.gz", b"x"), NODULE).status == 404
        assert slicer.download(trick).status == 404
        assert slicer.call("GET", f"/datastore/label?label={image_id}&tag={trick}").status == 400
    # What a request says about files, models and devices is dropped.
    params = {"image": "/etc/passwd", "model": "other", "image_path": "/etc/passwd", "logging": "DEBUG"}
    found = read_volume(slicer.infer("nodule", image_id, params).parts[2])[0]
    assert dice(found, house.truth(uid)) >= 0.7
    label = (WINDOWS, write_nifti(house.truth(uid), affine))
    body = encode({"params": json.dumps(NODULE)}, {"label": label})
    kind = f"multipart/form-data; boundary={'-' * 10}lImIt_of_THE_fIle_eW_$"
    selector = f"/datastore/label?image={image_id}&tag=..%2F..%2Fevil"
    assert slicer.call("PUT", selector, body, kind).status == 200
    assert not list(house.settings.home.rglob("*evil*"))


@pytest.mark.parametrize(
    ("params", "status"),
    [({"device": "cuda:9"}, 400), ({"roi": [1, 2]}, 400), ({"label_info": "x"}, 400)],
)
def test_impossible_settings_are_refused(house: House, params: dict[str, Any], status: int) -> None:
    slicer = house.server.open_slicer("anton")
    image_id, _ = open_case(house, slicer, house.add())
    answer = slicer.infer("nodule", image_id, params)
    assert answer.status == status
    assert detail(answer)


def test_what_is_not_offered_says_so(house: House) -> None:
    slicer = house.server.open_slicer("anton")
    assert slicer.call("POST", "/train/nodule", b"{}", "application/json").status == 403
    assert "intake" in detail(slicer.call("PUT", "/session/", b"", "text/plain"))
    assert "intake" in detail(slicer.call("PUT", "/datastore/?image=x", b"", "text/plain"))
    assert slicer.infer("unknown", house.add(), {}).status == 404
    assert slicer.infer("Histogram+GraphCut", house.add(), {}).status == 422
    assert slicer.next_sample("epistemic").status == 404
    # QuPath sends JSON without saying so.
    assert slicer.call("POST", "/activelearning/first", b'{"client_id": "x"}').status == 200


def test_an_image_is_sent_once(house: House) -> None:
    slicer = house.server.open_slicer("anton")
    image_id, _ = open_case(house, slicer, house.add())
    url = f"{slicer.server}/datastore/image"
    first = httpx.get(url, params={"image": image_id})
    again = httpx.get(url, params={"image": image_id}, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert httpx.head(url, params={"image": image_id}).headers["content-length"] == str(len(first.content))
    part = httpx.get(url, params={"image": image_id}, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"NRRD")


def test_the_model_looks_at_every_new_chest(house: House) -> None:
    chest, brain = house.add(), house.add("mr-brain")
    store = house.open_as("stella")
    wait_until(lambda: store.list_predictions(chest), "a finding", seconds=90)
    [prediction] = store.list_predictions(chest)
    assert prediction.requires_review
    assert 0 < prediction.confidence <= 1
    assert 0 <= prediction.uncertainty <= 1
    assert "nodule" in prediction.finding
    labels = Catalog(store).prediction_labelmap(prediction)
    assert labels is not None
    assert dice(labels.to_numpy(), house.truth(chest)) >= 0.7
    voxel_mm3 = float(np.prod(house.phantoms[chest].spacing_mm))
    assert prediction.volume_mm3 == pytest.approx(int(labels.sum()) * voxel_mm3, rel=0.01)
    assert store.list_predictions(brain) == []
    shown = house.server.open_slicer("anton").call("GET", "/datastore/?output=all").json["objects"]
    assert next(entry for name, entry in shown.items() if name.startswith(chest))["labels"]["original"]


def test_a_worker_that_dies_is_replaced(house: House) -> None:
    slicer = house.server.open_slicer("anton")
    image_id, _ = open_case(house, slicer, house.add())
    process = house.server.find_worker()
    assert process is not None
    os.kill(process, signal.SIGKILL)
    assert slicer.info().status == 200  # the server itself goes on
    answer = slicer.infer("nodule", image_id, {})  # a task that already waited is done by the new worker
    assert answer.status == 200 or (answer.status == 503 and "Try again" in detail(answer))
    wait_until(lambda: slicer.infer("nodule", image_id, {}).status == 200, "the new worker", seconds=180)
    assert house.server.find_worker() not in (process, None)


def test_the_page_shows_how_to_connect_and_makes_a_token(house: House) -> None:
    uid = house.add()
    origin = house.server.hub.url
    with house.server.hub.log_in("anton") as browser:
        page = browser.get("/services/annotation/")
        assert page.status_code == 200
        assert f"{origin}/services/annotation<" in page.text
        assert f'data-series="{uid}"' in page.text
        assert "http" not in page.text.replace(origin, "")  # nothing is loaded from anywhere
        made = browser.post("/services/annotation/", data={"make": "token"}, headers={"Origin": origin})
        token = made.text.split('<code id="token">')[1].split("<")[0]
        assert Slicer(house.server.url, "anton", token).info().status == 200
        foreign = browser.post(
            "/services/annotation/", data={"make": "token"}, headers={"Origin": "http://elsewhere.test"}
        )
        assert foreign.status_code == 403
    with house.server.hub.log_in("nora") as browser:
        assert "not annotate" in browser.get("/services/annotation/").text


def test_without_its_worker_the_server_still_answers(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("lonely")
    python = home / "missing" / "python"
    with temp_annotation(home, python=python, wait=False) as server:
        slicer = server.open_slicer("anton")
        assert slicer.info().json["models"] == {}
        answer = slicer.infer("nodule", "1.2.3", {})
        assert answer.status == 503
        assert "make setup" in detail(answer)
        assert slicer.next_sample().json == {}
