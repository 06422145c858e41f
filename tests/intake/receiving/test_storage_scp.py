"""C-STORE as dcmtk's storescu and pynetdicom speak it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import JPEG2000Lossless
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from aurelius_catalog.errors import InvalidRequest
from aurelius_hub.ports import find_free_ports
from aurelius_intake.metrics import RECEIVED, REFUSED
from aurelius_intake.receiving.sites import read_sites
from aurelius_intake.receiving.storage_scp import Listener
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import ItemState
from support.builders import make_identified, write_ct
from support.servers_catalog import wait_until
from support.servers_intake import SITES, start_storescu, temp_intake

Listen = Callable[..., AbstractContextManager[Listener]]


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(IntakeSettings(home=tmp_path / "home"))


@pytest.fixture
def listen(zone: Zone, tmp_path: Path) -> Listen:
    """Give a function that starts a listener with the sites of `SITES`."""
    (tmp_path / "sites.toml").write_text(SITES)

    @contextmanager
    def start(**changes: object) -> Iterator[Listener]:
        settings = IntakeSettings(home=tmp_path / "home", dicom_port=find_free_ports(1)[0], **changes)  # type: ignore[arg-type]
        with Listener(settings, zone, read_sites(tmp_path / "sites.toml")) as listener:
            yield listener

    return start


def send(port: int, called: str, calling: str, *files: Path) -> tuple[int, str]:
    process = start_storescu(port, called, calling, *files)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def list_inbox(zone: Zone) -> list[Path]:
    return sorted(path for path in zone.inbox.rglob("*") if path.is_file())


def test_500_objects_on_4_associations_each_end_once(tmp_path: Path) -> None:
    folders = [write_ct(tmp_path / f"ct{n}", number=n, slices=125)[0].parent for n in range(1, 5)]
    with temp_intake(tmp_path / "home") as intake:
        start = time.perf_counter()
        senders = [
            start_storescu(intake.settings.dicom_port, "NORTH", f"CT{n}", folder) for n, folder in enumerate(folders, 1)
        ]
        for sender in senders:
            said, _ = sender.communicate(timeout=120)
            assert (sender.returncode, said.count("Received Store Response (Success)")) == (0, 125), said[-500:]
        seconds = time.perf_counter() - start
        wait_until(lambda: sum(intake.count().values()) >= 500 and not list_inbox(Zone(intake.settings)), "the desk")
        assert {key: n for key, n in intake.count().items() if n} == {("north", ItemState.STORED): 500}
    print(f"C-STORE: {500 / seconds:.0f} objects/s on 4 associations")
    log = intake.log.read_text()
    assert log.count("for north ended: 125 objects") == 4
    assert "Plantagenet" not in log
    assert "2.25." not in log


def test_the_file_is_what_was_sent(listen: Listen, zone: Zone, tmp_path: Path) -> None:
    original = write_ct(tmp_path / "one", slices=1)[0]
    with listen() as listener:
        assert send(listener.port, "SOUTH", "MR1", original)[0] == 0
    (stored,) = list_inbox(zone)
    assert stored.relative_to(zone.inbox).parts[:2] == ("south", "dimse")
    assert read_values(stored) == read_values(original)
    assert stored.stat().st_mode & 0o077 == 0


def read_values(path: Path) -> bytes:
    """Return what stands behind the file meta."""
    with path.open("rb") as file:
        dataset = dcmread(file, stop_before_pixels=True)
        meta_end = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    return path.read_bytes()[meta_end:]


def test_compressed_private_and_future_classes_are_taken_undecoded(listen: Listen, zone: Zone) -> None:
    private = "1.3.46.670589.11.0.0.12.1"
    with listen() as listener:
        entity = AE("CT1")
        entity.add_requested_context(private, JPEG2000Lossless)
        association = entity.associate("127.0.0.1", listener.port, ae_title="NORTH")
        dataset = make_identified()
        dataset.SOPClassUID = private
        dataset.file_meta = make_meta(dataset, JPEG2000Lossless)
        dataset.add_new(0x7FE00010, "OB", b"\xfe\xff\x00\xe0\x00\x00\x00\x00 this cannot be decoded ")
        dataset["PixelData"].is_undefined_length = True
        assert association.send_c_store(dataset).Status == 0
        association.release()
    (stored,) = list_inbox(zone)
    header = dcmread(stored)
    assert (header.file_meta.TransferSyntaxUID, header.SOPClassUID) == (JPEG2000Lossless, private)


def make_meta(dataset: Dataset, syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    return meta


@pytest.mark.parametrize(
    ("called", "calling", "reason"),
    [
        ("EAST", "CT1", "Called AE Title Not Recognized"),
        ("NORTH", "STRANGER", "Calling AE Title Not Recognized"),
        ("SOUTH", "CT1", "Calling AE Title Not Recognized"),
    ],
)
def test_strangers_are_refused(
    called: str, calling: str, reason: str, listen: Listen, zone: Zone, tmp_path: Path
) -> None:
    before = REFUSED.labels("dimse", "association")._value.get()
    with listen() as listener:
        code, said = send(listener.port, called, calling, write_ct(tmp_path / "ct")[0])
    assert code != 0
    assert reason in said
    assert list_inbox(zone) == []
    assert REFUSED.labels("dimse", "association")._value.get() == before + 1


def test_echo_is_answered(listen: Listen) -> None:
    with listen() as listener:
        entity = AE("MR1")
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", listener.port, ae_title="SOUTH")
        assert association.send_c_echo().Status == 0
        association.release()


def test_a_full_disk_refuses_and_says_so(listen: Listen, zone: Zone, tmp_path: Path) -> None:
    with listen(intake_reserve_mb=1 << 40) as listener:
        code, said = send(listener.port, "NORTH", "CT1", write_ct(tmp_path / "ct")[0])
    assert "Out of Resources" in said.replace("OutOfResources", "Out of Resources"), (code, said)
    assert list_inbox(zone) == []
    assert list((zone.root / "arriving" / "dimse").iterdir()) == []


def test_an_object_cut_off_in_the_middle_never_reaches_the_inbox(listen: Listen, zone: Zone) -> None:
    with listen() as listener:
        entity = AE("CT1")
        entity.add_requested_context(CTImageStorage)
        association = entity.associate("127.0.0.1", listener.port, ae_title="NORTH")
        sent = association.dul.socket.send  # type: ignore[union-attr]

        def send_half(stream: bytes) -> None:
            sent(stream[: len(stream) // 2] if len(stream) > 10_000 else stream)
            if len(stream) > 10_000:
                association.dul.socket.close()  # type: ignore[union-attr]

        association.dul.socket.send = send_half  # type: ignore[union-attr, method-assign]
        dataset = make_identified()
        dataset.file_meta = make_meta(dataset, "1.2.840.10008.1.2")
        dataset.add_new(0x7FE00010, "OW", bytes(1_000_000))
        association.send_c_store(dataset)
        wait_until(lambda: not listener.n_associations, "the association ended")
        assert len(list((zone.root / "arriving" / "dimse").iterdir())) == 1
        assert list_inbox(zone) == []
    with listen():  # what was left of it is swept away at the next start
        assert list((zone.root / "arriving" / "dimse").iterdir()) == []


def test_the_same_object_twice_is_two_files(listen: Listen, zone: Zone, tmp_path: Path) -> None:
    file = write_ct(tmp_path / "ct")[0]
    before = RECEIVED.labels("north", "dimse")._value.get()
    with listen() as listener:
        assert send(listener.port, "NORTH", "CT1", file, file)[0] == 0
    assert len(list_inbox(zone)) == 2
    assert RECEIVED.labels("north", "dimse")._value.get() == before + 2


def test_a_taken_port_is_said(listen: Listen, zone: Zone) -> None:
    with listen() as listener:
        settings = listener.settings
        with pytest.raises(InvalidRequest, match="Nobody can listen on 127"), Listener(settings, zone, {}):
            pass
