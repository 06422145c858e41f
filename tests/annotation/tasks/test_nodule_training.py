from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.servers_annotation import TRAIN, install_weights

TWICE = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("train", sys.argv[1])
train = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train)
train.STEPS, train.TRAINING_SEEDS, train.HELD_OUT_SEEDS = 4, range(1000, 1003), range(5000, 5001)
for name in ("first.pt", "second.pt"):
    train.train(Path(sys.argv[2]) / name)
"""

CARD = """
import json, sys
from pathlib import Path
from aurelius_annotation.tasks.nodule.network import read_card
try:
    print(json.dumps(vars(read_card(Path(sys.argv[1])))))
except ValueError as error:
    print(error)
"""


def run(python: Path, *arguments: str | Path) -> str:
    done = subprocess.run([str(python), *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.soak
def test_training_twice_gives_the_same_file(annotation_python: Path, tmp_path: Path) -> None:
    run(annotation_python, "-c", TWICE, TRAIN, tmp_path)
    assert (tmp_path / "first.pt").read_bytes() == (tmp_path / "second.pt").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.pt", "second.pt"]


@pytest.mark.soak
def test_the_weights_are_good_small_and_whole(annotation_python: Path, tmp_path: Path) -> None:
    install_weights(tmp_path)
    weights = tmp_path / "models" / "radiology" / "nodule.pt"
    assert weights.stat().st_size < 5 << 20
    card = json.loads(run(annotation_python, "-c", CARD, weights))
    assert card["dice"] >= 0.8
    assert card["labels"] == {"nodule": 1}
    changed = bytearray(weights.read_bytes())
    changed[len(changed) // 2] ^= 1
    weights.write_bytes(changed)
    assert "train them again" in run(annotation_python, "-c", CARD, weights)


def test_ready_weights_are_found_not_trained(annotation_python: Path, tmp_path: Path) -> None:
    install_weights(tmp_path)
    done = subprocess.run([str(annotation_python), str(TRAIN), "--cached"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_file()
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["--unknown"]])
def test_a_call_without_a_place_says_what_is_missing(annotation_python: Path, arguments: list[str]) -> None:
    done = subprocess.run([str(annotation_python), str(TRAIN), *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--output" in done.stderr
