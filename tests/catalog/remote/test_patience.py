"""A store over HTTP outlives a token that expires, a house that starts anew, a connection that breaks, and a fork."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from aurelius_catalog.access.person import Action
from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied, Unreachable
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.remote import connection
from aurelius_catalog.remote.store import HttpStore
from aurelius_hub.ports import find_free_ports
from support.moody_service import AWAY, EXPIRED, NO_ROUTE, OK, SILENCE, Answer, Moody, moody_service

FRAME = bytes(range(8))
PIXELS = Answer(200, FRAME, "application/octet-stream")


@pytest.fixture
def moody() -> Iterator[Moody]:
    with moody_service() as running:
        yield running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PAUSES_S", (0.0, 0.01))


def make_instance(number: int = 1) -> InstanceRecord:
    return InstanceRecord(
        SOPInstanceUID=f"1.2.{number}",
        SeriesInstanceUID="1.2",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        path="x",
        sha256="0",
        size_bytes=8,
        TransferSyntaxUID="1.2.840.10008.1.2.1",
        frames=((0, 8),),
    )


def read_frame(store: HttpStore) -> object:
    return store.read_frame(make_instance(), 0)


READS: dict[str, tuple[Callable[[HttpStore], object], Answer]] = {
    "search": (lambda store: store.find_series(Modality="CT"), OK),
    "labels": (lambda store: store.list_annotations(), OK),
    "frame": (read_frame, PIXELS),
}


@pytest.mark.parametrize("name", READS)
def test_reading_waits_for_a_house_that_starts_anew(moody: Moody, name: str) -> None:
    read, good = READS[name]
    store = HttpStore(moody.url, "t")
    moody.answers = [good]
    first = read(store)
    moody.answers = [SILENCE, AWAY, AWAY, NO_ROUTE, SILENCE, good]
    assert read(store) == first
    assert len(moody.asked) == 7


def test_who_waits_too_long_is_told(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE_S", 0.1)
    store = HttpStore(moody.url, "t")
    store.list_datasets()
    for answer in (AWAY, NO_ROUTE, SILENCE):
        moody.answers = [answer]
        for read in (HttpStore.list_datasets, read_frame):
            with pytest.raises(Unreachable):
                read(store)


def test_an_address_where_nobody_ever_answered_is_not_waited_for() -> None:
    url = f"http://127.0.0.1:{find_free_ports(1)[0]}/services/catalog"
    for read in (HttpStore.list_datasets, read_frame):
        with pytest.raises(Unreachable, match="does not answer"):
            read(HttpStore(url, "x"))


def test_writing_is_never_done_twice(moody: Moody) -> None:
    store = HttpStore(moody.url, "t")
    store.list_datasets()
    for answer in (SILENCE, AWAY):
        moody.asked.clear()
        moody.answers = [answer, OK]
        with pytest.raises(Unreachable):
            store.add_dataset("mine", ["1.2"])
        assert len(moody.asked) == 1


def test_a_refusal_is_not_asked_again(moody: Moody) -> None:
    store = HttpStore(moody.url, "t")
    moody.answers = [Answer(404, b'{"detail": "There is no series.", "error": "NotFound"}')]
    for read in (lambda: store.get_series("1.2"), partial(read_frame, store)):
        moody.asked.clear()
        with pytest.raises(NotFound, match="There is no series"):
            read()
        assert len(moody.asked) == 1


@pytest.mark.parametrize("name", READS)
def test_a_token_that_has_expired_is_asked_for_anew(moody: Moody, name: str) -> None:
    read, good = READS[name]
    moody.answers = [good]
    tokens = ["old"]
    store = HttpStore(moody.url, lambda: tokens[-1])
    read(store)
    moody.valid = lambda token: token == "new"
    tokens.append("new")
    moody.asked.clear()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: read(store), range(4)))
    assert [token for token, _ in moody.asked][-1] == "new"
    moody.asked.clear()
    read(store)
    assert [token for token, _ in moody.asked] == ["new"]


def test_writing_is_signed_anew_too(moody: Moody) -> None:
    tokens = ["old", "new"]
    store = HttpStore(moody.url, lambda: tokens.pop(0))
    moody.valid = lambda token: token == "new"
    moody.answers = [Answer(200, b'{"name": "rhea", "groups": []}')]
    assert not store.person.may(Action.DECIDE)
    with pytest.raises(ValueError, match="DatasetRecord"):
        store.add_dataset("mine", ["1.2"])  # it was sent, for the answer is that of another question
    assert moody.asked[-1][0] == "new"


def test_the_token_of_the_environment_is_read_again(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "old")
    store = HttpStore(moody.url)
    moody.valid = lambda token: token == "new"
    for read in (HttpStore.list_datasets, read_frame):
        with pytest.raises(PermissionDenied, match="Log in at the hub"):
            read(store)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "new")
    assert store.list_datasets() == []


def test_the_token_is_in_no_log_no_text_and_no_error(
    moody: Moody, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(connection, "PATIENCE_S", 0.1)
    store = HttpStore(moody.url, "SECRETTOKEN")
    said = [repr(store), str(vars(store)), repr(store._transport)]
    for answer in (EXPIRED, AWAY, SILENCE):
        moody.answers = [answer]
        for read in (HttpStore.list_datasets, read_frame):
            with pytest.raises((Unreachable, PermissionDenied)) as caught:
                read(store)
            said.append(repr(caught.value))
    assert "SECRETTOKEN" not in "".join(said) + caplog.text


def test_another_process_finds_its_own_token(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "SECRETTOKEN")
    sent = pickle.dumps(HttpStore(moody.url))
    assert b"SECRETTOKEN" not in sent
    pickle.loads(sent).list_datasets()  # noqa: S301 - made a line above
    assert moody.asked == [("SECRETTOKEN", "/services/catalog/datasets")]
    with pytest.raises(InvalidRequest, match="JUPYTERHUB_API_TOKEN"):
        pickle.dumps(HttpStore(moody.url, "mine"))


def test_a_forked_process_uses_connections_of_its_own(moody: Moody) -> None:
    moody.answers = [PIXELS]
    store = HttpStore(moody.url, "t")
    read_frame(store)
    fork = multiprocessing.get_context("fork")
    outcome = fork.Queue()

    def read_in_child() -> None:
        outcome.put([read_frame(store) for _ in range(20)])

    children = [fork.Process(target=read_in_child) for _ in range(3)]
    for child in children:
        child.start()
    mine = [read_frame(store) for _ in range(20)]
    for _ in children:
        assert outcome.get(timeout=20) == mine
    for child in children:
        child.join()
    assert mine == [FRAME] * 20


def test_an_array_of_another_shape_is_refused(moody: Moody) -> None:
    store = HttpStore(moody.url, "t")
    frames = [(make_instance(1), 0), (make_instance(2), 0)]
    for shape in ((2, 7), (1, 8), (2, 8, 1)):
        with pytest.raises(InvalidRequest, match="cannot take"):
            store.fill_frames(frames, np.zeros(shape, np.uint8))
    with pytest.raises(InvalidRequest, match="cannot take"):
        store.fill_frames(frames, np.zeros((2, 16), np.uint8)[:, ::2])
    assert not moody.asked


def test_an_answer_of_another_length_is_refused(moody: Moody) -> None:
    moody.answers = [Answer(200, FRAME * 3, "application/octet-stream")]
    store = HttpStore(moody.url, "t")
    with pytest.raises(InvalidRequest, match="Open it anew"):
        store.read_frame(make_instance(), 0)
    moody.answers = [PIXELS]
    assert store.read_frame(make_instance(), 0) == FRAME


def test_an_answer_line_by_line_ends_with_a_word(moody: Moody) -> None:
    store = HttpStore(moody.url, "t")
    for answer, error in ((SILENCE, Unreachable), (EXPIRED, PermissionDenied)):
        moody.answers = [answer]
        with pytest.raises(error):
            list(store.verify_dataset("mine"))
