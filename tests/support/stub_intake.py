"""A stand-in for the intake's own pages: speaks its endpoints from a JSON file and writes down what it is sent.

``python stub_intake.py FOLDER`` as a service of the hub, or `create_stub` in a test's own process. In the folder,
``state.json`` holds what the endpoints answer (a test may write it anew at any time) and ``received.jsonl`` grows by
one line per decision, per login, and per status that was asked for.
"""

from __future__ import annotations

import json
import os
import sys
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from PIL import Image, ImageDraw

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.hosting.host import create_service, mount_router, run_service
from aurelius_catalog.hosting.login import current_person

router = APIRouter()
Asker = Annotated[Person, Depends(current_person)]


def read_state(folder: Path) -> dict[str, Any]:
    """Return what the endpoints answer."""
    state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return state


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Replace what the endpoints answer; a request in progress sees the old or the new, never a part."""
    draft = folder / "state.draft"
    draft.write_text(json.dumps(state))
    os.replace(draft, folder / "state.json")


def read_received(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the calls of one kind, oldest first."""
    file = folder / "received.jsonl"
    calls = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [call for call in calls if call["kind"] == kind]


def create_stub(folder: Path) -> FastAPI:
    """Make the service."""
    app = create_service("intake")
    app.state.folder = folder
    mount_router(app, router)
    return app


def find_folder(request: Request) -> Path:
    """Return the folder of the service that is asked."""
    folder: Path = request.app.state.folder
    return folder


Folder = Annotated[Path, Depends(find_folder)]


def require_steward(person: Asker, folder: Folder) -> Person:
    """Refuse whoever is no steward, or everybody where the state says so."""
    status = read_state(folder).get("refuse")
    if status:
        raise HTTPException(status, "")
    person.require(Action.STEWARD)
    return person


Steward = Annotated[Person, Depends(require_steward)]


def note(folder: Path, kind: str, person: Person, **more: Any) -> None:
    """Write down a call."""
    with (folder / "received.jsonl").open("a") as file:
        file.write(json.dumps({"kind": kind, "person": person.name, **more}) + "\n")


@router.get("/enter")
def enter(next: str, person: Asker, folder: Folder) -> Response:
    note(folder, "enter", person, next=next)
    return RedirectResponse(next, 302)


@router.get("/status")
def get_status(steward: Steward, folder: Folder) -> Any:
    note(folder, "status", steward)
    return read_state(folder)["status"]


@router.get("/desk")
def list_desk(steward: Steward, folder: Folder) -> Any:
    return read_state(folder)["desk"]


@router.get("/desk/{item}/image")
def get_image(item: int, steward: Steward, folder: Folder, frame: int = 0) -> Response:
    entry = next(each for each in read_state(folder)["desk"] if each["id"] == item)
    if not 0 <= frame < entry["frames"]:
        raise HTTPException(404, "There is no such frame.")
    image = Image.new("L", (640, 480), 16)
    draw = ImageDraw.Draw(image)
    draw.pieslice((120, 60, 520, 560), 225, 315, fill=90)
    draw.ellipse((290 + 5 * frame, 220, 350 + 5 * frame, 270), fill=30)
    for place, word in zip(((20, 14), (20, 34), (470, 14), (20, 450)), entry["words"], strict=False):
        draw.text(place, str(word)[:40], fill=230, font_size=16)
    stream = BytesIO()
    image.save(stream, "PNG")
    return Response(stream.getvalue(), media_type="image/png", headers={"Cache-Control": "no-store"})


@router.post("/desk/{item}/{verb}")
def decide(item: int, verb: str, body: Annotated[dict[str, Any], Body()], steward: Steward, folder: Folder) -> Any:
    note(folder, verb, steward, item=item, body=body)
    state = read_state(folder)
    if not body.get("reason"):
        raise HTTPException(400, "A decision needs a reason.")
    if item not in [entry["id"] for entry in state["desk"]]:
        raise HTTPException(409, "Somebody else has decided already.")
    state["desk"] = [entry for entry in state["desk"] if entry["id"] != item]
    write_state(folder, state)
    return {"id": item, "state": "rejected" if verb == "reject" else "released"}


@router.get("/certificates")
def list_certificates(steward: Steward, folder: Folder) -> Any:
    return read_state(folder)["certificates"]


@router.get("/certificates/{study}/page")
def show_certificate(study: str, steward: Steward) -> HTMLResponse:
    return HTMLResponse(f"<h1>Certificate of {study}</h1><script>document.body.textContent = 'script ran'</script>")


@router.get("/vault/requests")
def list_requests(steward: Steward, folder: Folder) -> Any:
    requests = read_state(folder).get("requests")
    if requests is None:
        raise HTTPException(404, "There is no vault.")
    return requests


@router.post("/vault/requests/{number}/approve")
def approve(number: int, steward: Steward, folder: Folder) -> Any:
    note(folder, "approve", steward, number=number)
    state = read_state(folder)
    for request in state["requests"]:
        if request["id"] == number:
            request |= {"state": "approved", "approved_by": steward.name}
    write_state(folder, state)
    return {}


if __name__ == "__main__":
    run_service(create_stub(Path(sys.argv[1])))
