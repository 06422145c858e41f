"""Access to what the intake knows: data stewards only."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.hosting.login import current_person


def require_steward(person: Annotated[Person, Depends(current_person)]) -> Person:
    """FastAPI dependency: the steward behind a request.

    Raises
    ------
    PermissionDenied
        If the person is none.
    """
    person.require(Action.STEWARD)
    return person


Steward = Annotated[Person, Depends(require_steward)]
