"""A hub and a catalog with what OHIF is opened on: a CT, an MR with a segmentation, slides."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aurelius_catalog.access.person import Person
from aurelius_catalog.records import Segment, SeriesRecord
from aurelius_hub.ports import find_free_ports
from support.cohort import Cohort, make_cohort
from support.servers_catalog import PEOPLE, Hub, managed_service, temp_hub
from support.slide_house import add_dicom_slide, add_slide

#: Reads all of site north, as a clinician does, and may write a label there.
READER = "ann"
READER_GROUPS = ["role-clinician", "role-annotator", "site-north"]


@dataclass(frozen=True)
class OhifHouse:
    """A running hub, and the catalog behind its service."""

    hub: Hub
    cohort: Cohort

    def find(self, **keywords: object) -> SeriesRecord:
        """Return the one series that the keywords tell."""
        [record] = self.cohort.open_as(Person.service("test")).find_series(**keywords)
        return record


@contextmanager
def temp_ohif(home: Path, data: Path | None = None) -> Iterator[OhifHouse]:
    """Run hub and catalog; with the folder of test data, its slides are there as well."""
    cohort = make_cohort(home / "house")
    segment_brain(cohort)
    if data is not None:
        add_dicom_slide(cohort.settings, sorted((data / "wsi" / "cmu-1-dicom").glob("*.dcm")))
        add_slide(cohort.settings, data / "wsi" / "CMU-1-Small-Region.svs")
    (port,) = find_free_ports(1)
    environment = {"AURELIUS_HOME": str(cohort.settings.home)}
    service = managed_service("catalog", [sys.executable, "-m", "aurelius_catalog.service"], environment, port)
    with temp_hub(home / "hub", [service], people={**PEOPLE, READER: READER_GROUPS}) as hub:
        yield OhifHouse(hub, cohort)


def segment_brain(cohort: Cohort) -> None:
    """Draw a box into the middle of the brain."""
    store = cohort.open_as(Person.of(READER, READER_GROUPS))
    series = store.get_series(cohort.north_brain)
    rows, columns = series.Rows or 0, series.Columns or 0
    labelmap = np.zeros((series.n_frames, rows, columns), np.uint8)
    labelmap[2:10, rows // 3 : rows // 2, columns // 3 : columns // 2] = 1
    store.add_annotation(cohort.north_brain, labelmap, [Segment(number=1, label="lesion")], origin="tests")
