"""The clinician's worklist: findings by models on the left, the images of the selected one on the right."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import anywidget
import traitlets
from IPython.display import HTML, display
from ipywidgets import Box
from pydantic import BaseModel, Field, ValidationError

from aurelius_catalog import Catalog, DecisionAction, Person, open_catalog
from aurelius_catalog.errors import AureliusError
from aurelius_catalog.records import WorklistRow
from aurelius_catalog.viewing.web_assets import read_bundle
from aurelius_extensions.dashboards.worklist.images import ImagePane
from aurelius_extensions.dashboards.worklist.markup import Prior, compare_volumes, is_earlier, render_case, render_list

logger = logging.getLogger(__name__)

FAILED = "That did not work. Reload the page; if it happens again, tell your administrator when."


class WorklistMessage(BaseModel):
    """What the page may ask for. A page can be made to send anything, so anything else is ignored."""

    do: Literal["select", "accept", "override", "refresh", "turn"]
    prediction: int = 0
    plane: Literal["Axial", "Coronal", "Sagittal", "All"] = "Axial"
    reason: str = Field(default="", max_length=500)


class Worklist(anywidget.AnyWidget):
    """The live worklist of one person.

    It is made before the page is opened, with all that takes time, and then filled for the person who opens it.
    """

    _esm = read_bundle(Path(__file__).parent, "worklist")

    list_html = traitlets.Unicode().tag(sync=True)
    case_html = traitlets.Unicode().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)
    next_up = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[WorklistRow] = []
        self._selected = 0
        self._plane = "Axial"
        self._images = ImagePane()
        # Filled once for a person without rights, who sees nothing: connections, queries and templates are then ready.
        self.fill(open_catalog(person=Person.of("", [])))
        self.on_msg(lambda _widget, content, _buffers: self._answer(content))

    def fill(self, catalog: Catalog) -> None:
        """Fill the list for the person a catalog was opened for.

        Parameters
        ----------
        catalog
            The catalog as that person sees it: it holds rows back that are not theirs, and refuses decisions
            they may not take.
        """
        self._catalog = catalog
        self._answer({"do": "refresh"})

    def paint_first(self) -> None:
        """Write the list into the page as HTML, to be seen before any script has run."""
        html = f'<div id="first-paint" class="au-room"><section class="au-list">{self.list_html}</section></div>'
        display(HTML(html), metadata={"aurelius": {"first_paint": True}})

    def show(self) -> None:
        """Put the live worklist into the page; it takes the place of the first paint."""
        room = Box([self, self._images.widget])
        room.add_class("au-room")
        display(room)

    def _answer(self, content: Any) -> None:
        try:
            message = WorklistMessage.model_validate(content)
        except ValidationError:
            return
        try:
            self.notice = ""
            getattr(self, f"_{message.do}")(message)
        except AureliusError as error:
            self.notice = str(error)
        except Exception as error:
            # Only the type: what an error says may name a patient's study.
            logger.error("worklist: %s failed with %s", message.do, type(error).__name__)
            self.notice = FAILED

    def _refresh(self, message: WorklistMessage) -> None:
        self._rows = self._catalog.worklist()
        self._draw()

    def _select(self, message: WorklistMessage) -> None:
        self._selected = message.prediction
        self.next_up = 0
        self._draw()
        row = self._find(message.prediction)
        if row is not None:
            self._images.show(self._catalog, row.prediction)

    def _turn(self, message: WorklistMessage) -> None:
        self._plane = message.plane
        self._images.turn(message.plane)
        self._draw()

    def _accept(self, message: WorklistMessage) -> None:
        self._decide(message, DecisionAction.ACCEPT)

    def _override(self, message: WorklistMessage) -> None:
        self._decide(message, DecisionAction.OVERRIDE)

    def _decide(self, message: WorklistMessage, action: DecisionAction) -> None:
        waiting = [row.prediction.id for row in self._rows if row.prediction.requires_review]
        after = waiting[waiting.index(message.prediction) + 1 :] if message.prediction in waiting else []
        try:
            self._catalog.decide(message.prediction, action, message.reason)
            self.next_up = after[0] if after else 0
        finally:
            self.case_html = ""  # the buttons come back fresh, whether it worked or not
            self._refresh(message)

    def _draw(self) -> None:
        row = self._find(self._selected)
        self.list_html = render_list(self._rows, self._catalog.person, self._selected)
        priors = self._list_priors(row) if row else []
        self.case_html = render_case(row, priors, self._catalog.person, self._plane)

    def _find(self, prediction_id: int) -> WorklistRow | None:
        return next((row for row in self._rows if row.prediction.id == prediction_id), None)

    def _list_priors(self, row: WorklistRow) -> list[Prior]:
        """Return the patient's other studies, newest first, one entry each."""
        found = {other.series.StudyInstanceUID: other for other in reversed(self._rows)}
        priors: dict[str, Prior] = {}
        for series in self._catalog.store.find_series(PatientID=row.series.PatientID):
            study = series.StudyInstanceUID
            if study == row.series.StudyInstanceUID or study in priors or series.Modality == "SEG":
                continue
            other = found.get(study)
            change = ""
            if other and other.prediction.finding == row.prediction.finding and is_earlier(series, row.series):
                change = compare_volumes(row.prediction.volume_mm3, other.prediction.volume_mm3)
            priors[study] = Prior(series, other, change)
        return sorted(priors.values(), key=lambda prior: prior.series.StudyDate or "", reverse=True)
