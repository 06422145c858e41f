"""The catalog as a person meets it."""

from __future__ import annotations

import inspect
from pathlib import Path

import xarray as xr

from aurelius_catalog.access.person import Person
from aurelius_catalog.datasets.frozen import FrozenDataset
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.query import Query
from aurelius_catalog.records import (
    DecisionAction,
    DecisionRecord,
    PredictionRecord,
    WorklistRow,
)
from aurelius_catalog.search.keywords import KEYWORDS
from aurelius_catalog.series import Series
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.store import Store


def open_catalog(
    *, url: str | None = None, token: str | None = None, home: Path | None = None, person: Person | None = None
) -> Catalog:
    """Open the catalog.

    In a notebook of the hub no argument is needed: the address and the token of the person the notebook
    belongs to are in the environment.

    Parameters
    ----------
    url, token
        Address of a catalog service and a hub token for it.
    home, person
        State folder of a house on this machine, and whose eyes to open it with. Only for processes that
        the house itself starts.

    Raises
    ------
    InvalidRequest
        If neither is given, here or in the environment.
    """
    settings = CatalogSettings()
    if home is None and person is None and (address := url or settings.catalog_url):
        from aurelius_catalog.remote.store import HttpStore

        return Catalog(HttpStore(address, token or None))
    if person is None:
        raise InvalidRequest(
            "There is no catalog to open: start this from a notebook of the hub, or give url= and token=."
        )
    from aurelius_catalog.local.store import LocalStore

    return Catalog(LocalStore(settings if home is None else CatalogSettings(home=home), person))


class Catalog:
    """Images, labels, predictions and datasets, as far as one person may see them.

    Parameters
    ----------
    store
        Where things are read from and written to.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def __repr__(self) -> str:
        person = self.person
        scope = ", ".join(sorted([*person.projects, *person.sites])) or "nothing"
        return f"<Catalog of {person.name}: {scope}>"

    @property
    def person(self) -> Person:
        """Whose catalog this is."""
        return self.store.person

    def search(self, **keywords: object) -> Query:
        """Find series: images, slides, waveforms, labels, whatever has its attributes in the index.

        Nothing is fetched yet; see `Query`. Every keyword must be met. ``<TAB>`` after the bracket lists them, and so
        does `keywords`.

        Parameters
        ----------
        **keywords
            DICOM keywords, and ``project``, ``site``, ``text`` (words of descriptions; ``nodul*`` for what begins so),
            ``has_segmentation`` and ``has_prediction`` (True, False, or the name of a segment, model or finding),
            ``source="idc"`` (the index of a public archive, where the house has one). A value is met if equal, a list
            if any of it is, a tuple ``(low, high)`` as a range, a text with ``*`` or ``?`` as a wildcard,
            ``"20200101-20201231"`` as a range of dates, None by absence.

        Examples
        --------
        >>> catalog.search(project="lung", Modality="CT", SliceThickness=(None, 1.5))  # doctest: +SKIP
        >>> catalog.search(text="brain flair", MagneticFieldStrength=3, has_segmentation=True)  # doctest: +SKIP
        """
        return Query(self.store, keywords)

    @property
    def keywords(self) -> list[str]:
        """Everything that can be searched by."""
        return list(KEYWORDS)

    def series(self, SeriesInstanceUID: str) -> Series:
        """Return one series.

        Raises
        ------
        NotFound
            If there is none with this UID.
        PermissionDenied
            If this person may not see it.
        """
        return Series(self.store, self.store.get_series(SeriesInstanceUID))

    def worklist(self) -> list[WorklistRow]:
        """Return the visible predictions, those that need review first and the least certain before the others."""
        return self.store.list_worklist()

    def decide(self, prediction_id: int, action: DecisionAction | str, comment: str = "") -> DecisionRecord:
        """Accept or override a prediction.

        Raises
        ------
        PermissionDenied
            If this person has no role that decides.
        InvalidRequest
            If a finding is overridden without a reason.
        """
        return self.store.add_decision(prediction_id, DecisionAction(action), comment)

    def prediction_labelmap(self, prediction: PredictionRecord) -> xr.DataArray | None:
        """Read the voxels of a finding on its series' grid, ``(z, y, x)`` uint8; None if it has none."""
        if prediction.SOPInstanceUID is None:
            return None
        return self.series(prediction.SeriesInstanceUID).labelmap(prediction.SOPInstanceUID)

    def datasets(self) -> list[FrozenDataset]:
        """Return the frozen datasets this person may open, newest first."""
        return [FrozenDataset(record, self.store) for record in self.store.list_datasets()]

    def dataset(self, id_or_name: str) -> FrozenDataset:
        """Return one frozen dataset.

        Raises
        ------
        NotFound
            If there is none.
        PermissionDenied
            If it holds a series this person may not see.
        """
        return FrozenDataset(self.store.get_dataset(id_or_name), self.store)


def _list_parameters() -> list[inspect.Parameter]:
    taken = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    return taken + [inspect.Parameter(keyword, inspect.Parameter.KEYWORD_ONLY, default=None) for keyword in KEYWORDS]


# What a notebook completes after catalog.search( is what the index knows at this moment.
setattr(Catalog.search, "__signature__", inspect.Signature(_list_parameters(), return_annotation=Query))  # noqa: B010
