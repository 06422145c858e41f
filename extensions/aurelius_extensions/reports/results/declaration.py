"""The numbers a report stands for, declared with the tolerance within which they must come out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from aurelius_catalog.errors import InvalidRequest
from aurelius_extensions.reports.records import DatasetUse, ModelUse, ResultRow, ResultTable

if TYPE_CHECKING:
    from aurelius_catalog.datasets import FrozenDataset
    from aurelius_catalog.records import DatasetRecord, PredictionRecord

RESULTS_FILE = "results.json"


class Results:
    """Collects a report's numbers and writes them beside its notebook.

    Parameters
    ----------
    dataset
        The frozen dataset the report is about. Who may see the report later follows from its series.

    Examples
    --------
    >>> results = Results(catalog.dataset("lung-demo"))                                     # doctest: +SKIP
    >>> results.add(case=SeriesInstanceUID, name="volume", value=1.52, tolerance=0.01, unit="ml")  # doctest: +SKIP
    >>> results.save()                                                                      # doctest: +SKIP
    """

    def __init__(self, dataset: DatasetRecord | FrozenDataset) -> None:
        self._dataset = DatasetUse(id=dataset.id, name=dataset.name, SeriesInstanceUIDs=dataset.SeriesInstanceUIDs)
        self._models: set[tuple[str, str]] = set()
        self._rows: dict[tuple[str, str], ResultRow] = {}

    def add(self, *, case: str, name: str, value: float, tolerance: float, unit: str = "", patient: str = "") -> None:
        """Declare one number.

        Parameters
        ----------
        case
            What it was measured on: a SeriesInstanceUID, or a word such as ``all cases``.
        name
            What was measured.
        value
            The number; NaN stands for no number, and a rerun must come to none either.
        tolerance
            Absolute difference up to which a rerun counts as the same, in ``unit``; at least 0.
        unit
            Unit of value and tolerance.
        patient
            Pseudonymous PatientID, shown beside the case.

        Raises
        ------
        InvalidRequest
            If the number was declared before, or the tolerance is negative or not a number.
        """
        if not tolerance >= 0:
            raise InvalidRequest(f"The tolerance of {name} is {tolerance}; it must be 0 or more.")
        if (case, name) in self._rows:
            raise InvalidRequest(f"{name} of {case} was declared twice; each number needs a name of its own.")
        self._rows[case, name] = ResultRow(
            case=case, name=name, value=float(value), tolerance=float(tolerance), unit=unit, patient=patient
        )

    def use_model(self, prediction: PredictionRecord) -> None:
        """Record that the report rests on a model's prediction."""
        self._models.add((prediction.model, prediction.model_hash))

    def table(self) -> ResultTable:
        """Return everything declared so far."""
        models = tuple(ModelUse(model=model, model_hash=digest) for model, digest in sorted(self._models))
        return ResultTable(dataset=self._dataset, models=models, rows=tuple(self._rows.values()))

    def save(self, folder: Path | str = ".") -> Path:
        """Write ``results.json`` into ``folder``, the notebook's own by default, and return its path."""
        path = Path(folder) / RESULTS_FILE
        path.write_text(json.dumps(self.table().model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        return path
