"""The store a request works with: this machine's catalog, seen with the rights of the person who asks."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Annotated

from fastapi import Depends

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.settings import CatalogSettings


@cache
def read_settings() -> CatalogSettings:
    """Return the settings this process was started with."""
    return CatalogSettings()


async def open_store(person: Annotated[Person, Depends(current_person)]) -> LocalStore:
    """FastAPI dependency: the catalog as the person behind the request may see it."""
    # Not in a thread: changing to one would take longer than all it does once the index is open.
    return keep_store(read_settings(), person)


@lru_cache(maxsize=1000)
def keep_store(settings: CatalogSettings, person: Person) -> LocalStore:
    """Return the store of a person, kept for their next request, which may be for the next frame."""
    return LocalStore(settings, person)


Opened = Annotated[LocalStore, Depends(open_store)]
