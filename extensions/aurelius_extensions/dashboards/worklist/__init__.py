"""The clinician's worklist: findings of models, their images, and the decision about each."""

from aurelius_extensions.dashboards.worklist.page import Worklist

__all__ = ["Worklist"]
