"""A frozen dataset as a researcher holds it in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aurelius_catalog.datasets.contents import DatasetContents
from aurelius_catalog.local.dataset_card import Card
from aurelius_catalog.local.dataset_verification import DatasetVerification
from aurelius_catalog.records import DatasetCheck

if TYPE_CHECKING:
    from distributed import Client

    from aurelius_catalog.datasets.bids import BidsFolder
    from aurelius_catalog.datasets.torch_dataset import TorchDataset
    from aurelius_catalog.datasets.zarr_copy import ZarrCopy


class FrozenDataset(DatasetContents):
    """Series, and the labels drawn on them, exactly as they were when somebody froze them.

    Its ``id`` is the hash of its content: cite it, and whoever opens it later gets the same bytes or is told what is
    gone. Whatever comes into the catalog afterwards, also into these series, is not in it.

    Parameters
    ----------
    record
        What the index knows about it.
    store
        Where it is read from.

    Examples
    --------
    >>> dataset = catalog.search(project="lung", Modality="CT").freeze("lung-v1")  # doctest: +SKIP
    >>> dataset.verify()  # doctest: +SKIP
    <OK: 1204 of 1204 files intact (631,242,752 bytes read)>
    """

    def card(self) -> Card:
        """Return its data card: counts, scanners, sexes, ages, labels, what is missing, terms and citation."""
        return Card(self.store.read_dataset_card(self.id))

    # -- whether it still is what it was ----------------------------------------------------------

    def verify(self, progress: Callable[[int, int], object] | None = None) -> DatasetVerification:
        """Read every byte again, where the files are, and compare it with what was frozen.

        Parameters
        ----------
        progress
            Called after each series with how many are done and how many there are.

        Raises
        ------
        DatasetDamaged
            If the index no longer says what was frozen.
        """
        checks: list[DatasetCheck] = []
        for check in self.store.verify_dataset(self.id):
            checks.append(check)
            if progress is not None:
                progress(len(checks), len(self.SeriesInstanceUIDs))
        return DatasetVerification(self.store.get_dataset(self.id), tuple(checks))

    # -- copies to work on ------------------------------------------------------------------------

    def to_zarr(
        self,
        folder: str | Path,
        *,
        client: Client | None = None,
        workers: int = 2,
        progress: Callable[[int, int], object] | None = None,
    ) -> ZarrCopy:
        """Write the series and their newest labels as sharded OME-Zarr 0.5 images, to train on.

        A series is there whole or not at all: stop it, or lose the machine, and the next call writes what is missing.
        What was withdrawn since goes from the copy. Label maps are numbered as `segments` says.

        Parameters
        ----------
        folder
            Where to; it holds this dataset and nothing else.
        client
            A dask cluster whose workers see the same folder; without one, threads of this process do it.
        workers
            How many threads: so many volumes are in memory at once.
        progress
            Called after each series with how many are done and how many there are.

        Raises
        ------
        InvalidRequest
            If the folder holds something else, or another copy is being written into it.
        """
        from aurelius_catalog.datasets.zarr_copy import copy_dataset

        return copy_dataset(self, Path(folder), client=client, workers=workers, progress=progress)

    def to_bids(self, folder: str | Path, *, progress: Callable[[int, int], object] | None = None) -> BidsFolder:
        """Write the series and their newest labels as NIfTI files, laid out as BIDS asks.

        Stop it, and the next call writes what is missing. Labels are a derivative, numbered as `segments` says.

        Parameters
        ----------
        folder
            Where to; it holds this dataset and nothing else.
        progress
            Called after each series with how many are done and how many there are.

        Raises
        ------
        InvalidRequest
            If the folder holds something else.
        """
        from aurelius_catalog.datasets.bids import export_bids

        return export_bids(self, Path(folder), progress)

    def to_monai(self, folder: str | Path | None = None, *, only_labelled: bool = False) -> list[dict[str, str]]:
        """Return one dict per volume, as MONAI's dictionary transforms take them.

        Of a series of several volumes that form no one array a copy has one dict each; the catalog does not open it.

        Read them with ``LoadImaged(["image", "label"], reader=DatasetReader(...))``, see
        `aurelius_catalog.datasets.monai_reader.DatasetReader`.

        Parameters
        ----------
        folder
            Read from this hot copy, which is made or completed first (`to_zarr`); without one, from the catalog.
        only_labelled
            Leave out the series nobody has drawn on, which have no ``label``.

        Returns
        -------
        list of dict
            ``image``, ``label``, ``SeriesInstanceUID``, ``Modality``, ``PatientID``: split by patient, not by series.
        """
        from aurelius_catalog.datasets.items import list_items

        return list_items(self, None if folder is None else Path(folder), only_labelled=only_labelled)

    def to_torch(
        self,
        folder: str | Path | None = None,
        *,
        only_labelled: bool = False,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> TorchDataset:
        """Return a `torch.utils.data.Dataset` over the volumes; it may go to workers of a DataLoader.

        Parameters
        ----------
        folder, only_labelled
            As for `to_monai`.
        transform
            Applied to each item: a dict with ``image``, float32 ``(channels, z, y, x)``, one channel unless there is
            time, b-value, echo, … beside space; ``label``, int64 ``(1, z, y, x)``; ``spacing_mm``,
            ``SeriesInstanceUID`` and ``PatientID``.
        """
        from aurelius_catalog.datasets.torch_dataset import TorchDataset

        return TorchDataset(self.to_monai(folder, only_labelled=only_labelled), None if folder else self, transform)
