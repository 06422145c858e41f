"""The viewer of a dashboard: the person whom the server named to this kernel."""

from __future__ import annotations

import json
import os
import time

from aurelius_catalog.access.person import Person
from aurelius_extensions.errors import UnknownViewer

#: Variable in which a kernel finds its viewer; the server alone sets it (see `identity`).
PERSON_VARIABLE = "HTTP_X_AURELIUS_PERSON"
#: Seconds before asking again when the server did not answer a waiting kernel.
RETRY_S = 0.5


def viewer() -> Person:
    """Wait until a person opens the page, and return that person.

    A preheated kernel blocks here, with everything imported, until its page is asked for.

    Raises
    ------
    UnknownViewer
        When the notebook does not run behind the dashboards service.
    """
    from voila.utils import wait_for_request

    wait_for_request()
    while os.environ.get("VOILA_PREHEAT") == "True" and PERSON_VARIABLE not in os.environ:
        time.sleep(RETRY_S)
        wait_for_request()
    claim = os.environ.get(PERSON_VARIABLE)
    if not claim:
        raise UnknownViewer(
            "The viewer of this page is not known. Open it through the hub, at /services/dashboards/; "
            "in a notebook of your own, use open_catalog() instead."
        )
    person = json.loads(claim)
    return Person.of(person["name"], person["groups"])
