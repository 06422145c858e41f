"""Whatever comes in gets a disposition: every file at hand, and two thousand damaged ones. Nothing planted gets out."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event

import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from aurelius_intake.service.runner import serve
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import create_vault
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import IntakeItems, ItemState
from support.builders import PLANTED, VISIT, make_identified, plant, write_object

pytestmark = pytest.mark.soak

MUTANTS = 2000
#: States an object can end in; an archive or a directory of files ends as what it is.
ENDS = {
    ItemState.STORED,
    ItemState.DUPLICATE,
    ItemState.CONFLICT,
    ItemState.QUARANTINED,
    ItemState.FAILED,
    ItemState.UNPACKED,
    ItemState.LISTED,
}
Mutation = Callable[[bytearray, random.Random], bytes]


def flip_bits(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(128, len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def cut_off(data: bytearray, chance: random.Random) -> bytes:
    return bytes(data[: chance.randrange(len(data))])


def cut_out(data: bytearray, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    del data[start : start + chance.randint(1, 64)]
    return bytes(data)


def repeat(data: bytearray, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(1, 256)]
    return bytes(data[:start] + piece + data[start:])


def set_length(data: bytearray, chance: random.Random) -> bytes:
    """Write a hostile length somewhere: undefined, huge, odd, zero."""
    start = chance.randrange(128, len(data) - 4)
    data[start : start + 4] = chance.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x01\0\0\0", b"\0\0\0\0"])
    return bytes(data)


def nest_deeply(data: bytearray, chance: random.Random) -> bytes:
    """Open sequences that are never closed (explicit VR, (0008,1140))."""
    opening = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    start = chance.randrange(132, len(data))
    return bytes(data[:start] + opening * chance.choice([1, 50, 3000]) + data[start:])


MUTATIONS: tuple[Mutation, ...] = (flip_bits, cut_off, cut_out, repeat, set_length, nest_deeply)


def renumber(data: bytes, what: str, number: int) -> bytes:
    """Give an object another UID of the same length."""
    uid = VISIT.make_uid(what)
    return data.replace(uid.encode(), f"{uid[:-6]}{number:06}".encode())


def take_in(settings: IntakeSettings, files: Iterable[tuple[str, bytes]]) -> list[str]:
    """Put files into an inbox and let the intake work; returns their names."""
    inbox = Zone(settings).inbox / "north"
    names = []
    for name, content in files:
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_bytes(content)
        names.append(name)
    create_vault(settings)
    serve(settings, Event(), once=True)
    return names


def check_dispositions(settings: IntakeSettings, names: list[str]) -> dict[ItemState, int]:
    """Every file has left the inbox with exactly one end; returns how many ended how."""
    zone = Zone(settings)
    assert [path for path in zone.inbox.rglob("*") if path.is_file()] == []
    counted = {state: number for (_, state), number in IntakeItems(zone.database).count().items()}
    assert set(counted) <= ENDS
    assert sum(counted.values()) >= len(names)  # an archive's members are objects too
    kept = [
        path
        for kind in ("processed", "quarantine", "failed")
        for path in (zone.root / kind).rglob("*")
        if path.is_file() and ".reason." not in path.name
    ]
    assert len(kept) == sum(counted.values())
    return counted


def find_planted(settings: IntakeSettings, words: list[str]) -> list[str]:
    """Return the files of the de-identified zone that hold a planted word, whatever they are."""
    needles = [word.encode() for word in words]
    zone = settings.home / "catalog"
    return [path.name for path in zone.rglob("*") if path.is_file() and any(n in path.read_bytes() for n in needles)]


@pytest.mark.timeout(600)
def test_two_thousand_damaged_files_end_in_a_disposition_and_leak_nothing(tmp_path: Path) -> None:
    chance = random.Random(20261121)
    sources, words = [], {"Plantagenet", VISIT.PatientID, PLANTED}
    for number, syntax in enumerate((ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)):
        dataset = make_identified()
        words |= set(plant(dataset))
        dataset.Rows = dataset.Columns = 8
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
        dataset.PhotometricInterpretation, dataset.PixelData = "MONOCHROME2", bytes(128)
        sources.append(write_object(tmp_path / f"source{number}.dcm", dataset, syntax).read_bytes())
    mutants = []
    for number in range(MUTANTS):
        original = renumber(renumber(sources[number % 3], "instance", number), "study", number // 100)
        mutants.append((f"{number:04}.dcm", MUTATIONS[number % len(MUTATIONS)](bytearray(original), chance)))
    settings = IntakeSettings(home=tmp_path / "home", intake_quiet_s=0, intake_reserve_mb=0)
    counted = check_dispositions(settings, take_in(settings, mutants))
    assert sum(counted.values()) == MUTANTS
    assert counted[ItemState.STORED] > 0, "not one mutant was whole enough to be taken: the test tests nothing"
    assert find_planted(settings, sorted(words)) == []


@pytest.mark.timeout(600)
def test_every_file_at_hand_ends_in_a_disposition(tmp_path: Path, data: Path) -> None:
    settings = IntakeSettings(home=tmp_path / "home", intake_quiet_s=0, intake_reserve_mb=0)
    target = Zone(settings).inbox / "north" / "all"
    shutil.copytree(data, target, copy_function=shutil.copyfile)
    names = [str(path.relative_to(target.parent)) for path in target.rglob("*") if path.is_file()]
    take_in(settings, [])
    counted = check_dispositions(settings, names)
    assert counted[ItemState.STORED] > len(names) / 2
    assert counted.get(ItemState.FAILED, 0) == 0, "what is foreseen is quarantined with a reason"
