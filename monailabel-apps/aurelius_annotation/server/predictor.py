"""Predictions in the background: every chest CT gets the model's finding before a clinician opens it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from aurelius_annotation.errors import WorkerUnavailable
from aurelius_annotation.server.dependencies import AnnotationContext
from aurelius_annotation.server.fair_queue import JobOutcome
from aurelius_annotation.server.worker_pool import WorkerState
from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import AureliusError
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import NewPrediction, Segment, SeriesRecord

LOG = logging.getLogger(__name__)

MODEL = "nodule"
#: Seconds between two looks for series without a finding.
PAUSE_S = 3.0


class Predictor:
    """Finds series without a finding of the current model and has the worker look at them, when no person waits.

    Parameters
    ----------
    context
        The server's parts.
    """

    def __init__(self, context: AnnotationContext) -> None:
        self.context = context
        self._given_up: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Go on until cancelled; a failure of one series never stops the others."""
        while True:
            try:
                await self.predict_missing()
            except AureliusError as error:
                LOG.warning("Findings could not be updated, and will be tried again: %s", error)
            except Exception:
                LOG.exception("Findings could not be updated, and will be tried again.")
            await asyncio.sleep(PAUSE_S)

    async def predict_missing(self) -> int:
        """Predict every series that has no finding of the current model; returns how many were done."""
        card = self.context.pool.info.get("cards", {}).get(MODEL)
        if self.context.pool.state is not WorkerState.READY or card is None:
            return 0
        done = 0
        for record in await asyncio.to_thread(self._find_missing, card["hash"]):
            try:
                await self._predict(record)
                done += 1
            except WorkerUnavailable:
                raise
            except Exception as error:
                self._given_up.add((card["hash"], record.SeriesInstanceUID))
                LOG.warning("One series got no finding: %s", type(error).__name__)
        return done

    def _open_store(self) -> LocalStore:
        return self.context.open_store(Person.service("annotation"))

    def _find_missing(self, model_hash: str) -> list[SeriesRecord]:
        store = self._open_store()
        known = {item.SeriesInstanceUID for item in store.list_predictions() if item.model_hash == model_hash}
        return [
            record
            for record in store.find_series(Modality="CT", BodyPartExamined="CHEST")
            if record.n_frames > 1
            and record.SeriesInstanceUID not in known
            and (model_hash, record.SeriesInstanceUID) not in self._given_up
        ]

    async def _predict(self, record: SeriesRecord) -> None:
        image = await asyncio.to_thread(self.context.images.open, self._open_store(), record)
        task = {
            "model": MODEL,
            "image": str(image.path),
            "result_extension": ".nrrd",
            "result_dtype": "uint8",
        }
        outcome = await self.context.pool.run(task)
        await asyncio.to_thread(self._store, record, outcome)

    def _store(self, record: SeriesRecord, outcome: JobOutcome) -> None:
        labelmap = read_result(outcome)
        finding = outcome.params["finding"]
        names = outcome.params["label_names"]
        segments = tuple(Segment(number=value, label=name) for name, value in names.items())
        prediction = NewPrediction(
            model=finding["model"],
            model_hash=finding["model_hash"],
            finding=describe(finding),
            volume_mm3=finding["volume_mm3"],
            confidence=finding["confidence"],
            uncertainty=finding["uncertainty"],
            segments=segments,
        )
        found = labelmap if finding["count"] else None
        self._open_store().add_prediction(record.SeriesInstanceUID, prediction, found)


def read_result(outcome: JobOutcome) -> NDArray[np.uint8]:
    """Read the label map a task gave, (z, y, x) uint8 on the grid of its image, and delete the file."""
    values, _ = nrrd.read(str(outcome.file), index_order="C")
    outcome.file.unlink()
    return values.astype(np.uint8)


def describe(finding: Mapping[str, Any]) -> str:
    """Say what was found as a clinician reads it: ``2 nodules, largest 14 mm``."""
    count = finding["count"]
    if not count:
        return "No nodule found"
    size = f"{finding['largest_mm']:.0f} mm"
    return f"1 nodule, {size}" if count == 1 else f"{count} nodules, largest {size}"
