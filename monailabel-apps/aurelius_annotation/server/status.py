"""The server's description of itself to clients: its models and strategies, and what it refuses."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, HTTPException

from aurelius_annotation.errors import NotOffered
from aurelius_annotation.server.cases import count_cases
from aurelius_annotation.server.dependencies import ContextDependency, Viewer

router = APIRouter()

STRATEGIES = {
    "first": "The case that has waited longest: nobody has labelled it, nobody else has it open.",
    "random": "The next free case, in the order of arrival.",
}


@router.get("/info/")
def describe_server(context: ContextDependency, person: Viewer) -> dict[str, Any]:
    """Describe models, strategies and progress in the shape MONAI Label's clients read."""
    app = context.pool.info
    return {
        "name": "Aurelius annotation",
        "description": context.pool.explain(),
        "version": version("aurelius"),
        "labels": app.get("labels", []),
        "models": app.get("models", {}),
        "trainers": {},
        "strategies": {name: {"description": text, "config": {}} for name, text in STRATEGIES.items()},
        "scoring": {},
        "train_stats": {},
        "datastore": count_cases(context.open_store(person)),
    }


@router.get("/train/")
def describe_training(person: Viewer) -> None:
    """Answer 404, which clients read as: no training runs."""
    raise HTTPException(404, "No training runs here.")


@router.post("/train/")
@router.post("/train/{model}")
@router.delete("/train/")
def refuse_training(person: Viewer, model: str = "") -> None:
    """Refuse: models are trained from frozen datasets, not from whatever was saved last."""
    raise NotOffered("Models are not trained from here. Freeze a dataset in a notebook and train on that.")


@router.put("/session/")
@router.put("/datastore/")
@router.put("/datastore/image")
def refuse_upload(person: Viewer) -> None:
    """Refuse images from a client: they would come in unchecked and identified."""
    raise NotOffered(
        "Images cannot be uploaded from Slicer: they come in through the intake, which removes names first. "
        "Use Next Sample to open one of your cases."
    )


@router.get("/session/{number}")
def find_session(number: str, person: Viewer) -> None:
    """Answer 404: there are no sessions."""
    raise HTTPException(404, "There is no such session: images come from the catalog.")
