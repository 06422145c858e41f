"""Metrics of the dashboards service, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class DashboardMetrics:
    """The service's metrics, in a registry of their own.

    Parameters
    ----------
    count_open, count_preheated
        Return how many pages are open, and how many kernels wait for one.
    """

    def __init__(self, count_open: Callable[[], int], count_preheated: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.pages = Counter("aurelius_dashboard_pages", "Pages opened", ["dashboard"], registry=self.registry)
        self.page_seconds = Histogram(
            "aurelius_dashboard_page_seconds", "Request to last byte", ["dashboard"], registry=self.registry
        )
        open_pages = Gauge("aurelius_dashboard_open", "Pages open, each with a kernel", registry=self.registry)
        open_pages.set_function(count_open)
        preheated = Gauge("aurelius_dashboard_preheated", "Kernels that wait for a page", registry=self.registry)
        preheated.set_function(count_preheated)
