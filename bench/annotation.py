"""Automatic segmentation as an annotator waits for it, against MONAI Label's own server with the same app."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aurelius_annotation.server.images import write_nrrd
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.settings import CatalogSettings
from aurelius_hub.ports import find_free_ports
from bench.result import Result, compare
from support.cohort import PROJECTS, add_phantom
from support.servers_annotation import ANNOTATION_PYTHON, TRAIN, temp_annotation
from support.servers_catalog import answers, wait_until
from support.slicer import Slicer

SAMPLES = 10
SEED = 300


@contextmanager
def own_server_of_monai_label(home: Path, models: Path) -> Iterator[str]:
    """Run MONAI Label's server over a folder with the same image; yields its address once it answers."""
    studies = home / "studies"
    studies.mkdir(parents=True)
    phantom = make_phantom("ct-chest", SEED)
    affine = np.diag([*phantom.spacing_mm[::-1], 1.0])
    (studies / "chest.nrrd").write_bytes(write_nrrd(phantom.image, affine))
    # The app opens its data read-only, so the list that MONAI Label would write is written here.
    listed = {"chest": {"image": {"ext": ".nrrd", "info": {}}, "labels": {}}}
    (studies / "datastore_v2.json").write_text(
        json.dumps({"name": "", "description": "", "images_dir": ".", "labels_dir": "labels", "objects": listed})
    )
    [port] = find_free_ports(1)
    app = shutil.copytree(TRAIN.parent, home / "app")  # MONAI Label writes its logs into the app's folder
    arguments = ["start_server", "--app", app, "--studies", studies, "--conf", "models", models]
    with (home / "monailabel.log").open("wb") as log:
        process = subprocess.Popen(
            [ANNOTATION_PYTHON, "-m", "monailabel.main", *map(str, arguments), "--port", str(port)],
            env={**os.environ, "HOME": str(home), "MONAI_LABEL_SESSIONS": "false"},
            cwd=home,
            stdout=log,
            stderr=log,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(f"{address}/info/"), "MONAI Label", seconds=180, process=process)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def time_infer(slicer: Slicer, image_id: str) -> float:
    """Return the seconds from pressing the button to having the label map, logging in included."""
    start = time.perf_counter()
    answer = slicer.infer("nodule", image_id, {"device": "cpu"})
    seconds = time.perf_counter() - start
    assert answer.status == 200, answer.body
    assert answer.parts[2].startswith(b"NRRD")
    return seconds


def measure_infer_round_trip() -> Result:
    """Measure both servers in turn on the same image; both are warm."""
    with tempfile.TemporaryDirectory(prefix="aurelius-bench-") as folder:
        home = Path(folder) / "house"
        home.mkdir()
        (home / "projects.toml").write_text(PROJECTS)
        uid = add_phantom(CatalogSettings(home=home, database_url=""), "north", "ct-chest", SEED, slice(None))
        with temp_annotation(home) as server, own_server_of_monai_label(Path(folder) / "peer", home / "models") as peer:
            ours, theirs = server.open_slicer("anton"), Slicer(peer, "", "")
            pairs = [(time_infer(ours, uid), time_infer(theirs, "chest")) for _ in range(SAMPLES + 1)]
    mine, other = zip(*pairs[1:], strict=True)
    return compare("annotation_infer_round_trip", mine, other, "MONAI Label 0.8.5, no login, no proxy")


BENCHMARKS: dict[str, Callable[[], Result]] = {"annotation_infer_round_trip": measure_infer_round_trip}
