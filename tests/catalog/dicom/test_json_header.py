"""Headers as DICOM JSON, also of values that nobody can read."""

from __future__ import annotations

import logging
from collections.abc import KeysView

import pydicom.config
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

from aurelius_catalog.dicom.json_header import make_header


def make_damaged() -> Dataset:
    """Make a header with a readable value and, at two depths, a number that is none."""
    inner, dataset = Dataset(), Dataset()
    inner.SeriesDescription = "inner"
    dataset.SeriesDescription = "chest"
    for each in (inner, dataset):
        tag = Tag("SliceThickness")
        each[tag] = RawDataElement(tag, "DS", 10, b"Plantagent", 0, False, True)
    dataset.ReferencedSeriesSequence = [inner]
    return dataset


def test_unreadable_value_is_left_out_at_every_depth_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        header = make_header(make_damaged())
    assert header == {
        "0008103E": {"vr": "LO", "Value": ["chest"]},
        "00081115": {"vr": "SQ", "Value": [{"0008103E": {"vr": "LO", "Value": ["inner"]}}]},
    }
    assert "Plantagent" not in caplog.text


def test_other_readers_of_the_process_stay_as_lenient_as_they_were() -> None:
    modes = []

    class Watched(Dataset):
        def keys(self) -> KeysView[BaseTag]:
            modes.append(pydicom.config.settings.reading_validation_mode)
            return super().keys()

    make_header(Watched(make_damaged()))
    assert modes == [pydicom.config.WARN]
