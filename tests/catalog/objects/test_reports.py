"""Reports, waveforms and maps of values: what they say, in which units."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from aurelius_catalog.errors import InvalidObject
from aurelius_catalog.objects import StructuredReport, ValueMapping, Waveform
from aurelius_catalog.objects.parametric import open_parametric_map
from support.cohort import make_slice
from support.objects_house import admit_objects, find_one, name_object

# -- reports ---------------------------------------------------------------------------------------


def test_measurements_agree_with_highdicom(data: Path) -> None:
    dataset = dcmread(data / "seg-sr" / "sr-example_sr.dcm")
    table = StructuredReport(dataset).measurements
    content = hd.sr.srread(data / "seg-sr" / "sr-example_sr.dcm").content
    expected = [
        (group.tracking_uid, group.finding_type.meaning, item.name.meaning, item.value, item.unit.value)
        for group in content.get_volumetric_roi_measurement_groups()
        for item in group.get_measurements()
    ]
    found = list(table[["tracking_uid", "finding", "name", "value", "unit"]].itertuples(index=False, name=None))
    assert sorted(found) == sorted(expected)
    assert len(expected) > 10
    maximum = table.query("name == 'SUVbw' and derivation == 'Maximum'")
    assert float(maximum["value"].iloc[0]) == pytest.approx(10.3814)
    assert maximum["site"].iloc[0] == "pharyngeal tonsil (adenoid)"


def test_a_report_is_a_tree_in_the_notebook(data: Path, tmp_path: Path) -> None:
    source = dcmread(data / "odd" / "highdicom_sr_document.dcm")
    report = find_one(admit_objects(tmp_path, [source])).open()
    assert isinstance(report, StructuredReport)
    assert report.title == "Imaging Measurement Report"
    [area] = report.root.find("area of defined region")
    assert (area.value, area.unit) == (1.7, "cm2")
    [region] = report.root.find("Image Region")
    assert region.value.shape == (2, 2)
    assert region.unit == "CIRCLE"
    assert "      Finding: Spinal cord" in str(report)
    assert "<summary>Measurement Group</summary>" in report._repr_html_()
    with pytest.raises(InvalidObject, match="no array"):
        find_one(admit_objects(tmp_path, [source])).to_xarray()


def test_key_images_know_their_series(data: Path) -> None:
    report = StructuredReport(dcmread(data / "seg-sr" / "sr-example_sr.dcm"))
    images = report.key_images
    assert len(images) == len({image.SOPInstanceUID for image in images}) == 193
    assert all(image.SeriesInstanceUID for image in images)
    odd = StructuredReport(dcmread(data / "odd" / "pydicom-tests_test-SR.dcm"))
    assert (5, 2) in [image.frames for image in odd.key_images]


def test_what_reports_say_is_no_markup(data: Path) -> None:
    dataset = dcmread(data / "odd" / "highdicom_sr_document.dcm")
    dataset.ConceptNameCodeSequence[0].CodeMeaning = "<script>alert(1)</script>"
    assert "<script" not in StructuredReport(dataset)._repr_html_()


def test_reports_that_others_cannot_parse_still_open(data: Path) -> None:
    opened = StructuredReport(dcmread(data / "odd" / "pydicom-tests_reportsi_with_empty_number_tags.dcm"))
    assert opened.title == "Document Title"
    assert opened.measurements.empty
    with pytest.raises(InvalidObject, match="no report"):
        StructuredReport(Dataset())


# -- waveforms -------------------------------------------------------------------------------------


def test_an_electrocardiogram_has_time_channels_and_millivolts(data: Path, tmp_path: Path) -> None:
    source = dcmread(data / "odd" / "pydicom-tests_waveform_ecg.dcm")
    series = find_one(admit_objects(tmp_path, [source]))
    recording = series.to_xarray()
    assert recording.dims == ("time", "channel")
    assert recording.attrs["units"] == "mV"
    assert recording.attrs["other_groups"] == ["MEDIAN BEAT"]
    assert float(recording["time"][-1]) == pytest.approx(9.999)
    np.testing.assert_allclose(recording, source.waveform_array(0) / 1000, rtol=1e-6)  # stored in µV
    lead = recording.sel(channel="Lead aVR")
    assert float(lead.sel(time=0.001, method="nearest")) == pytest.approx(-0.09375)
    waveform = series.open()
    assert isinstance(waveform, Waveform)
    assert waveform.groups["MEDIAN BEAT"].shape == (1200, 12)
    notes = waveform.annotations.set_index("name")
    assert (notes.loc["QT Interval", "value"], notes.loc["QT Interval", "unit"]) == (368.0, "ms")
    assert "svg" in series.view().data[:500]


# -- maps of values --------------------------------------------------------------------------------


def make_map(frames: np.ndarray, quantities: int = 1) -> Dataset:
    """Write ``(z, y, x)`` or ``(z, y, x, quantity)`` float as a parametric map of one small brain."""
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    sources = []
    for number, pixels in enumerate(np.zeros(frames.shape[:3], np.int16)):
        dataset = make_slice("mr-brain", number, pixels, (3.0, 0.5, 0.5))
        dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "case", study, series
        dataset.FrameOfReferenceUID, dataset.SOPInstanceUID = frame, generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        sources.append(dataset)
    mappings = [
        [hd.pm.RealWorldValueMapping(name, f"{name} map", unit, (0.0, 10.0), slope=slope, intercept=0.0)]
        for name, unit, slope in (
            ("ADC", codes.UCUM.SquareMillimeterPerSecond, 0.001),
            ("Ktrans", codes.UCUM.NoUnits, 2.0),
        )
    ]
    return hd.pm.ParametricMap(
        source_images=sources,
        pixel_array=frames,
        **name_object(5),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=mappings[0] if quantities == 1 else mappings,
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1.0)],
    )


def test_parametric_maps_come_in_their_units(tmp_path: Path) -> None:
    stored = np.random.default_rng(2).random((4, 6, 8)).astype(np.float32)
    values = find_one(admit_objects(tmp_path, [make_map(stored)])).to_xarray()
    assert (values.dims, values.dtype, values.attrs["units"]) == (("z", "y", "x"), np.float32, "mm2/s")
    np.testing.assert_allclose(values, stored * 0.001, rtol=1e-6)
    assert values.attrs["spacing_mm"] == pytest.approx([3.0, 0.5, 0.5])
    np.testing.assert_allclose(np.array(values.attrs["affine_lps"]) @ [0, 0, 3, 1], [-100, -120, 59, 1])


def test_several_quantities_stand_side_by_side() -> None:
    stored = np.random.default_rng(2).random((4, 6, 8, 2)).astype(np.float64)
    values = open_parametric_map(make_map(stored, quantities=2))
    assert values.dims == ("quantity", "z", "y", "x")
    assert list(values["unit"].to_numpy()) == ["mm2/s", "1"]
    np.testing.assert_allclose(values, np.moveaxis(stored, -1, 0) * np.array([0.001, 2.0])[:, None, None, None])


def test_a_real_map_and_the_mapping_of_a_pet(data: Path) -> None:
    source = dcmread(data / "odd" / "pydicom-data_parametric_map_float.dcm")
    values = open_parametric_map(source)
    np.testing.assert_array_equal(values[0], source.pixel_array)
    mapping = ValueMapping(dcmread(data / "seg-sr" / "sr-example_rwvm.dcm"))
    assert mapping.quantities == {"{SUVbw}g/ml": "{SUVbw}g/ml"}


def test_a_mapping_is_applied_to_the_stored_values_of_its_series(tmp_path: Path) -> None:
    series, study = generate_uid(), generate_uid()
    images, stored = [], np.random.default_rng(3).integers(0, 500, (3, 6, 8)).astype(np.int16)
    for number, pixels in enumerate(stored):
        image = make_slice("mr-brain", number, pixels, (3.0, 0.5, 0.5))
        image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID = "case", study, series
        image.RescaleSlope, image.RescaleIntercept = "4", "0"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        images.append(image)
    mapping = make_mapping(images, [0.5, 0.25, 2.0])
    catalog = admit_objects(tmp_path, [*images, mapping])
    opened = find_one(catalog, Modality="RWV").open()
    values = opened.apply(find_one(catalog, Modality="MR"))
    assert values.attrs["units"] == "{SUVbw}g/ml"
    np.testing.assert_allclose(values, stored * np.array([0.5, 0.25, 2.0], np.float32)[:, None, None])


def make_mapping(images: list[Dataset], slopes: list[float]) -> Dataset:
    mapping = Dataset()
    mapping.file_meta = images[0].file_meta.__class__()
    mapping.file_meta.TransferSyntaxUID = images[0].file_meta.TransferSyntaxUID
    mapping.SOPClassUID = mapping.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.67"
    mapping.SOPInstanceUID = mapping.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    mapping.StudyInstanceUID, mapping.SeriesInstanceUID = images[0].StudyInstanceUID, generate_uid()
    mapping.PatientID, mapping.Modality = "case", "RWV"
    items = []
    for image, slope in zip(images, slopes, strict=True):
        item, reference, value, unit = Dataset(), Dataset(), Dataset(), Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "{SUVbw}g/ml", "UCUM", "SUV"
        value.LUTLabel, value.RealWorldValueSlope, value.RealWorldValueIntercept = "SUV", slope, 0.0
        value.MeasurementUnitsCodeSequence = [unit]
        item.ReferencedImageSequence, item.RealWorldValueMappingSequence = [reference], [value]
        items.append(item)
    mapping.ReferencedImageRealWorldValueMappingSequence = items
    return mapping
