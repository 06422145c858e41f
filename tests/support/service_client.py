"""The catalog's service within a test's own process: no hub, the login replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import pytest
from fastapi import FastAPI, HTTPException, Request

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.service.stores import read_settings
from aurelius_catalog.settings import CatalogSettings


def believe_header(people: Mapping[str, Iterable[str]]) -> Callable[[Request], Person]:
    """Return what believes the header ``person``, which names one of these people and their groups."""

    def read_person(request: Request) -> Person:
        name = request.headers.get("person")
        if name is None:
            raise HTTPException(401)
        return Person.of(name, people[name])

    return read_person


@contextmanager
def serve_as(app: FastAPI, who: Callable[..., Person], **variables: object) -> Iterator[CatalogSettings]:
    """Let an application believe ``who`` about each request, with settings of its own; gives those settings.

    Parameters
    ----------
    app
        The service, or some of its routes.
    who
        In place of `current_person`.
    variables
        Settings by name, of which ``home`` is one.
    """
    app.dependency_overrides[current_person] = who
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(f"AURELIUS_{name.upper()}", str(value))
        read_settings.cache_clear()
        settings = read_settings()  # kept until the block ends
    try:
        yield settings
    finally:
        read_settings.cache_clear()
