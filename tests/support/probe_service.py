"""The smallest service on the shared host, for the tests of host and login."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import NotFound
from aurelius_catalog.hosting.host import create_service, mount_router, run_service
from aurelius_catalog.hosting.login import current_person

router = APIRouter()
Asking = Annotated[Person, Depends(current_person)]


@router.get("/me")
def read_me(person: Asking) -> dict[str, object]:
    return {"name": person.name, "groups": sorted(person.groups)}


@router.post("/notes")
def add_note(person: Asking, size: int) -> dict[str, object]:
    return {"author": person.name, "size": size}


@router.get("/series/{uid}")
def read_series(uid: str, person: Asking) -> None:
    raise NotFound("No such series.")


if __name__ == "__main__":
    app = create_service("probe")
    mount_router(app, router)
    run_service(app)
