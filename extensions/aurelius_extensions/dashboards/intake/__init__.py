"""The data steward's page."""

from aurelius_extensions.dashboards.intake.page import Intake

__all__ = ["Intake"]
