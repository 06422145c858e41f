"""MONAI Label's own client class, which Slicer's extension is built on, against our server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.servers_annotation import House

SCRIPT = """
import json, sys
from monailabel.client import MONAILabelClient

server, username, password, folder = sys.argv[1:]

def connect():
    client = MONAILabelClient(server, tmpdir=folder, client_id="user-xyz")
    assert client.auth_enabled()
    client.update_auth(client.auth_token(username, password))
    assert client.auth_valid_token()
    return client  # Slicer makes a new one for every call, and so do we

info = connect().info()
assert not connect().train_status(check_if_running=True)
sample = connect().next_sample("first", {})
mask, params = connect().infer("nodule", sample["id"], {"result_extension": ".nrrd", "result_dtype": "uint8"})
names = [{"name": name, "idx": index} for name, index in params["label_names"].items()]
saved = connect().save_label(sample["id"], mask, params={"label_info": names})
stored = connect().datastore()["objects"][sample["id"]]["labels"]
label = connect().download_label(sample["id"], "final")
print(json.dumps({"id": sample["id"], "mask": mask, "label": label, "tags": sorted(stored), "saved": saved}))
"""


def test_its_calls_work_one_after_the_other(house: House, annotation_python: Path, tmp_path: Path) -> None:
    house.add()
    slicer = house.server.open_slicer("rhea")
    arguments = [house.server.url, slicer.username, slicer.password, str(tmp_path)]
    done = subprocess.run([str(annotation_python), "-c", SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["saved"]["author"] == "rhea"
    assert "final" in answer["tags"]
    for name in ("mask", "label"):
        assert Path(answer[name]).read_bytes().startswith(b"NRRD")
    [record] = house.open_as("rhea").list_annotations(answer["id"].split("~")[0])
    assert record.author == "rhea"
