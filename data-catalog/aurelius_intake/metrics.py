"""The intake's metrics for Prometheus: counts, durations and disk, by site and never by anything that identifies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

#: Objects acknowledged at a network way in (``dimse``, ``stow``), before the pipeline has seen them.
RECEIVED = Counter("aurelius_intake_received", "Objects acknowledged", ("site", "way"), registry=None)
#: What was turned away at the door: ``association``, ``disk`` or ``object``.
REFUSED = Counter("aurelius_intake_refused", "Turned away at the door", ("way", "what"), registry=None)
ASSOCIATIONS = Gauge("aurelius_intake_associations", "C-STORE associations open now", registry=None)
STUDY_SECONDS = Histogram(
    "aurelius_intake_study_seconds",
    "From taking a study to its end",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
    registry=None,
)


class StatusCollector(Collector):
    """The intake's status as gauges, asked for at each scrape, so that they are true after a restart as well.

    Parameters
    ----------
    read
        Returns what ``GET status`` answers.
    """

    def __init__(self, read: Callable[[], Mapping[str, Any]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        status = self._read()
        objects = GaugeMetricFamily(
            "aurelius_intake_objects", "Objects by disposition; pending: none yet", labels=("site", "disposition")
        )
        for site, counts in status["sites"].items():
            for disposition, number in counts.items():
                objects.add_metric((site, disposition), number)
        yield objects
        for name in ("free_bytes", "reserve_bytes", "taking"):
            yield GaugeMetricFamily(f"aurelius_intake_disk_{name}", "Disk of the intake", value=status["disk"][name])


def list_collectors(read: Callable[[], Mapping[str, Any]]) -> tuple[Collector, ...]:
    """Return everything the intake measures, for the registry of its service."""
    return (RECEIVED, REFUSED, ASSOCIATIONS, STUDY_SECONDS, StatusCollector(read))
