"""The base that all our MONAI Label apps share: an app owns no data, fetches nothing and trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import Datastore

if TYPE_CHECKING:
    _Base = Any
else:
    _Base = object


class WorkerAppMixin(_Base):
    """Mixin before ``MONAILabelApp``: images come with each request, labels go back with each answer.

    MONAI Label finds an app's class by the names of its direct bases, so ``class MyApp(WorkerAppMixin,
    MONAILabelApp)`` is found where a subclass of a shared ``MONAILabelApp`` subclass would not be.
    """

    def init_datastore(self) -> Datastore:
        """Open an empty, read-only store: cases and labels are the server's, never the worker's."""
        return LocalDatastore(self.studies, extensions=["*.nrrd"], auto_reload=False, read_only=True)

    @property
    def models_folder(self) -> Path:
        """Folder with the trained weights."""
        return Path(self.conf["models"])
