"""Dashboards for people who do not use notebooks: Voila as a service of the hub.

``python -m aurelius_extensions.dashboards`` serves the notebooks of ``notebooks/dashboards``; each kernel
works with the rights of the person who looks at the page.
"""

from aurelius_extensions.dashboards.viewer import viewer

__all__ = ["viewer"]
