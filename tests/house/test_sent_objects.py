"""What a site sends opens as what it is, after de-identification and through hub, proxy and service."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurelius_catalog import Catalog
from aurelius_catalog.objects import StoredSegmentation, StructuredReport, StructureSet, Waveform
from aurelius_catalog.remote.store import HttpStore
from aurelius_hub.ports import find_free_ports
from support.intake_house import House
from support.objects_house import find_one
from support.servers_catalog import managed_service, temp_hub

SENT = [
    "odd/highdicom_sr_document.dcm",
    "odd/pydicom-data_parametric_map_float.dcm",
    "odd/pydicom-tests_rtdose.dcm",
    "odd/pydicom-tests_waveform_ecg.dcm",
    "rtstruct/mock_data_ct_1.dcm",
    "rtstruct/mock_data_ct_2.dcm",
    "rtstruct/mock_data_rt.dcm",
    "seg-sr/segmentations_24x38x3_image_IMG0001.dcm",
    "seg-sr/segmentations_24x38x3_image_IMG0002.dcm",
    "seg-sr/segmentations_24x38x3_image_IMG0003.dcm",
    "seg-sr/segmentations_24x38x3_seg_label.seg",
]


@pytest.fixture(scope="module")
def catalog(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    house = House(tmp_path_factory.mktemp("house"))
    assert house.vault
    for name in SENT:
        shutil.copy(data / name, house.inbox() / f"{Path(name).stem}.dcm")
    house.work()
    assert house.count() == {"stored": len(SENT)}
    command = [sys.executable, "-m", "aurelius_catalog.service"]
    service = managed_service("catalog", command, {"AURELIUS_HOME": str(house.home)}, find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service]) as hub:
        store = HttpStore(f"{hub.url}/services/catalog", hub.make_token("stella"))
        yield Catalog(store)
        store.close()


def test_structures_find_their_images_under_their_new_names(catalog: Catalog) -> None:
    structures = find_one(catalog, Modality="RTSTRUCT").open()
    assert isinstance(structures, StructureSet)
    assert structures.missing == ()
    assert int(structures.to_labelmap().sum()) == 1443


def test_segmentations_lie_over_their_images(catalog: Catalog) -> None:
    stored = find_one(catalog, Modality="SEG").open()
    assert isinstance(stored, StoredSegmentation)
    images = catalog.series(stored.referenced_series[0])
    assert int(images.segmentations[0].to_xarray().sum()) == 315
    assert images.segmentations[0].volumes_ml() == pytest.approx({"Liver": 315 * 0.7 * 0.7 * 2.5 / 1000})


def test_values_keep_their_units(catalog: Catalog) -> None:
    assert find_one(catalog, Modality="RTDOSE").to_xarray().attrs["units"] == "relative"
    assert find_one(catalog, Modality="OT").to_xarray().attrs["quantity"] == "feature_001"
    recording = find_one(catalog, Modality="ECG").open()
    assert isinstance(recording, Waveform)
    assert recording.to_xarray().attrs["units"] == "mV"


def test_reports_keep_their_measurements_and_nobody_s_name(catalog: Catalog) -> None:
    report = find_one(catalog, Modality="SR").open()
    assert isinstance(report, StructuredReport)
    assert list(report.measurements["value"]) == [1.7]
    assert [item.value for item in report.root.find("Person Observer Name")] == ["REMOVED"]
    assert "Foo" not in str(report)
