"""The worker: holds one MONAI Label app and computes what the server asks, one task at a time.

Runs in the annotation environment; the only process that imports monailabel. The server starts it with one end of a
socket pair and speaks JSON lines over it::

    ← {"ready": {…the app's info…}}              once, after start
    → {"task": {"model": "nodule", "image": "/…/image.nrrd", …}}
    ← {"file": "/…/result.nrrd", "params": {…}}  or  {"error": "…"}

The end of that stream is the end of the server, and so of the worker, even in the middle of a task.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import queue
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

LOG = logging.getLogger("aurelius_annotation.worker")

#: MONAI Label reads these when it is imported: no sessions on disk, no background tasks, no watching of folders.
MONAI_LABEL = {
    "MONAI_LABEL_SESSIONS": "false",
    "MONAI_LABEL_TASKS_TRAIN": "false",
    "MONAI_LABEL_TASKS_SCORING": "false",
    "MONAI_LABEL_TASKS_BATCH_INFER": "false",
    "MONAI_LABEL_DATASTORE_AUTO_RELOAD": "false",
    "MONAI_LABEL_TRACKING_ENABLED": "false",
}


def main() -> None:
    """Load the app and serve until the server ends."""
    parser = argparse.ArgumentParser(description="Compute for the annotation server.")
    parser.add_argument("--app", type=Path, required=True, help="folder with the app's main.py")
    parser.add_argument("--models", type=Path, required=True, help="folder with the trained weights")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for results")
    parser.add_argument("--channel", type=int, required=True, help="file descriptor of the socket to the server")
    options = parser.parse_args()
    os.nice(5)  # pages and logins of the same machine come first
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)  # MONAI Label sets its own loggers to INFO and then logs whole requests
    logging.basicConfig(handlers=[handler], format="%(levelname)s %(name)s: %(message)s")
    tempfile.tempdir = str(options.scratch)
    channel = socket.socket(fileno=options.channel)
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    stream = channel.makefile("rwb")
    threading.Thread(target=listen, args=(stream, tasks), daemon=True).start()
    app = load_app(options.app, options.models, options.scratch)
    warm_up(app, options.scratch)
    send_message(stream, {"ready": describe_app(app)})
    while True:
        send_message(stream, run_task(app, tasks.get()))


def listen(stream: Any, tasks: queue.Queue[dict[str, Any]]) -> None:
    """Queue what arrives; leave at once when the server ends."""
    try:
        for line in stream:
            tasks.put(json.loads(line)["task"])
    finally:
        os._exit(0)  # the main thread may be deep in a computation whose result is no longer wanted


def send_message(stream: Any, message: dict[str, Any]) -> None:
    """Send one line to the server."""
    stream.write(json.dumps(message, default=str).encode() + b"\n")
    stream.flush()


def load_app(folder: Path, models: Path, scratch: Path) -> Any:
    """Load an app the way MONAI Label itself does, without its server."""
    os.environ.update(MONAI_LABEL)
    from monailabel.interfaces.utils.app import app_instance

    studies = tempfile.mkdtemp(prefix="no-studies-", dir=scratch)
    return app_instance(app_dir=str(folder), studies=studies, conf={"models": str(models)})


def warm_up(app: Any, scratch: Path) -> None:
    """Run each network once on an empty image: the first run loads ITK and plans kernels, which takes seconds."""
    import nrrd
    import numpy as np

    path = scratch / "warm-up.nrrd"
    header = {"space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3)}
    nrrd.write(str(path), np.zeros((16, 16, 16), np.int16), header)
    for name, task in app._infers.items():
        if hasattr(task, "card"):
            answer = run_task(app, {"model": name, "image": str(path), "result_extension": ".nrrd"})
            Path(answer.get("file", path)).unlink()
    path.unlink(missing_ok=True)


def describe_app(app: Any) -> dict[str, Any]:
    """Return what the server needs of the app's info, and the identity of its models."""
    info = app.info()
    cards = {name: vars(task.card) for name, task in app._infers.items() if hasattr(task, "card")}
    return {"name": info["name"], "labels": info["labels"], "models": info["models"], "cards": cards}


def run_task(app: Any, task: dict[str, Any]) -> dict[str, Any]:
    """Run one task; a failure is an answer too."""
    try:
        result = app.infer(task)
        return {"file": result["file"], "params": result["params"]}
    except Exception as error:
        LOG.exception("A task of model %s failed", task.get("model"))
        return {"error": str(error) or "it failed without a reason; the server's log has the details."}


if __name__ == "__main__":
    main()
