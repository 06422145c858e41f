"""The xarray backend of the catalog: ``xr.open_dataset("aurelius://<SeriesInstanceUID>")``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from aurelius_catalog.errors import InvalidRequest

SCHEME = "aurelius://"


class AureliusBackend(BackendEntrypoint):
    """Opens a series of the catalog that this notebook's person sees."""

    description = "Series of the Aurelius catalog"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "volume", "dtype", "allow_shear")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether this is an address of a series."""
        return isinstance(filename_or_obj, str) and filename_or_obj.startswith(SCHEME)

    def open_dataset(  # type: ignore[override]  # every backend adds parameters of its own
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        volume: int | None = None,
        dtype: Any = None,
        allow_shear: bool = False,
    ) -> xr.Dataset:
        """Open a series.

        Parameters
        ----------
        filename_or_obj
            ``aurelius://<SeriesInstanceUID>``.
        drop_variables
            Names of variables to leave out.
        volume
            Which of its volumes, if it holds several; from 0.
        dtype, allow_shear
            As `aurelius_catalog.series.Series.to_xarray` takes them.

        Raises
        ------
        InvalidRequest
            If it has no such volume.
        """
        # xarray imports every backend to find the one for a file: those who open another kind should not wait for this.
        from aurelius_catalog.catalog import open_catalog

        series = open_catalog().series(filename_or_obj.removeprefix(SCHEME))
        if volume is None:
            image = series.to_xarray(dtype=dtype, allow_shear=allow_shear)
        else:
            found = series.volumes(dtype=dtype, allow_shear=allow_shear)
            if not 0 <= volume < len(found):
                raise InvalidRequest(f"This series has {len(found)} volumes, counted from 0: there is no {volume}.")
            image = found[volume]
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        record = {name: value for name, value in series.record.model_dump(mode="json").items() if value is not None}
        return image.to_dataset(name="image").assign_attrs(record).drop_vars(dropped, errors="ignore")
