"""Who may do what, and what is started for them."""

from __future__ import annotations

from aurelius_hub.configure import configure
from aurelius_hub.settings import HubSettings

__all__ = ["HubSettings", "configure"]
