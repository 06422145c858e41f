"""Writing a copy of a dataset on a dask cluster, whose workers are processes of their own, here or elsewhere.

What is sent to them holds no token: each worker opens the catalog with that of its own environment.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aurelius_catalog.errors import PermissionDenied

if TYPE_CHECKING:
    from distributed import Client


def run_cluster(
    client: Client, work: Callable[..., tuple[str, str | None]], tasks: Sequence[Any]
) -> Iterator[tuple[str, str | None]]:
    """Do the work on each task, in whatever order they are finished.

    A task whose worker dies is given to another; one that took several workers with it is told as skipped.

    Parameters
    ----------
    client
        The cluster.
    work
        Takes the parts of a task; returns SeriesInstanceUID and why it was skipped, if it was.
    tasks
        The parts of each; the first is a series.

    Raises
    ------
    InvalidRequest
        If the catalog was opened with a token that is not the environment's.
    PermissionDenied
        If the workers may not read what this process may.
    """
    from distributed import KilledWorker, as_completed

    pickle.dumps(tasks)  # what cannot be sent says why here: dask would say that something could not be serialized
    futures = {client.submit(work, *task, pure=False): task[0].record.SeriesInstanceUID for task in tasks}
    try:
        for future in as_completed(list(futures)):
            try:
                yield future.result()
            except KilledWorker:
                yield futures[future], "KilledWorker: several workers died of it, perhaps for lack of memory."
            except PermissionDenied as error:
                raise PermissionDenied(
                    f"A worker of the cluster was refused: {error} Each worker needs the person's token in its own "
                    "environment, as JUPYTERHUB_API_TOKEN."
                ) from error
    finally:
        client.cancel(list(futures))
