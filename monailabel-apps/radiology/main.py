"""The radiology app: nodules found by a network, anything else by strokes. MONAI Label loads it by its path."""

from __future__ import annotations

import logging

from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.activelearning.first import First
from monailabel.tasks.activelearning.random import Random

from aurelius_annotation.tasks.nodule.task import NoduleTask
from aurelius_annotation.tasks.scribbles.task import ScribblesTask
from aurelius_annotation.worker.app import WorkerAppMixin

LOG = logging.getLogger(__name__)
WEIGHTS = "radiology/nodule.pt"  # below the models folder


class RadiologyApp(WorkerAppMixin, MONAILabelApp):
    """Nodule segmentation and scribbles.

    Parameters
    ----------
    app_dir
        Folder of this file.
    studies
        An empty folder: the worker owns no images.
    conf
        ``models``: the folder with the trained weights.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        super().__init__(
            app_dir,
            studies,
            conf,
            name="Aurelius radiology",
            description="Lung nodules by a network, anything else from a few strokes.",
            labels=["nodule"],
        )

    def init_infers(self) -> dict[str, InferTask]:
        """Offer the network if it was trained, and scribbles always."""
        infers: dict[str, InferTask] = {}
        weights = self.models_folder / WEIGHTS
        if weights.exists():
            infers["nodule"] = NoduleTask(weights)
        else:
            LOG.warning(
                "There is no %s below the models folder: run radiology/train.py. Only scribbles are offered.", WEIGHTS
            )
        infers["Histogram+GraphCut"] = ScribblesTask(labels=["nodule"])
        return infers

    def init_strategies(self) -> dict[str, Strategy]:
        """Offer the orders in which cases come."""
        return {"first": First(), "random": Random()}
