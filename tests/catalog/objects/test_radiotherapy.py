"""Doses and structure sets: how much, where, and what is not there is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, RTPlanStorage, RTStructureSetStorage, generate_uid

from aurelius_catalog import Catalog
from aurelius_catalog.errors import InvalidLabel, InvalidObject, NotFound
from aurelius_catalog.objects import RadiotherapyPlan, StructureSet
from aurelius_catalog.objects.contours import fill_polygon
from aurelius_catalog.objects.dose import open_dose
from support.cohort import make_slice
from support.objects_house import admit_objects, find_one

SHAPE = (5, 30, 40)
SPACING_MM = (3.0, 1.0, 1.0)


def make_object(SOPClassUID: str, Modality: str, study: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, generate_uid()
    dataset.PatientID, dataset.Modality, dataset.PatientName = "case", Modality, ""
    return dataset


def make_dose(offsets: list[float], **changes: object) -> Dataset:
    """Return a dose whose value is its plane's number plus its row's, in hundredths of a gray."""
    dataset = make_object(RTDoseStorage, "RTDOSE", "1.2.3")
    planes = np.arange(len(offsets))[:, None, None] * 100 + np.arange(4)[:, None] + np.zeros((1, 1, 6), int)
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 4, 6, len(offsets)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 32, 32, 31, 0
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-10, -20, 30], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.GridFrameOffsetVector, dataset.DoseGridScaling = [2.5, 2], offsets, "0.01"
    dataset.FrameIncrementPointer = 0x3004000C
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dataset.PixelData = planes.astype("<u4").tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def find_z(dose, plane: int) -> float:  # type: ignore[no-untyped-def]
    return float((np.array(dose.attrs["affine_lps"]) @ [0, 0, plane, 1])[2])


def test_dose_is_in_gray_and_in_its_place() -> None:
    dose = open_dose(make_dose([0, 3, 6]))
    assert (dose.dims, dose.dtype, dose.attrs["units"]) == (("z", "y", "x"), np.float32, "Gy")
    assert float(dose[2, 3, 1]) == pytest.approx(2.03)
    assert (dose.attrs["DoseType"], dose.attrs["DoseSummationType"]) == ("PHYSICAL", "PLAN")
    assert dose.attrs["spacing_mm"] == [3, 2.5, 2]
    np.testing.assert_allclose(np.array(dose.attrs["affine_lps"]) @ [2, 1, 2, 1], [-6, -17.5, 36, 1])


@pytest.mark.parametrize(("offsets", "z"), [([0, -3, -6], 24), ([30, 33, 36], 36), ([30, 27, 24], 24)])
def test_planes_run_either_way_and_may_be_absolute(offsets: list[float], z: float) -> None:
    dose = open_dose(make_dose(offsets))
    assert [find_z(dose, 0), find_z(dose, 2)] == pytest.approx([30, z])
    assert float(dose[2, 0, 0]) == pytest.approx(2.0)


def test_uneven_planes_keep_their_places_and_are_said() -> None:
    with pytest.warns(UserWarning, match="unevenly spaced"):
        dose = open_dose(make_dose([0, 3, 7]))
    assert list(dose["z"].to_numpy()) == [0, 3, 7]
    assert "affine_lps" not in dose.attrs


@pytest.mark.parametrize(
    "changes", [{"GridFrameOffsetVector": [0, 3]}, {"GridFrameOffsetVector": [5, 8, 11]}, {"DoseGridScaling": None}]
)
def test_doses_that_cannot_be_placed_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidObject):
        open_dose(make_dose([0, 3, 6], **changes))


def test_real_doses_open_in_every_encoding(data: Path, tmp_path: Path) -> None:
    sources = [dcmread(data / "odd" / f"pydicom-tests_rtdose{kind}.dcm") for kind in ("", "_expb", "_rle")]
    expected = sources[0].pixel_array * 1e-6
    for source in sources:
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    sources[1].SeriesInstanceUID = generate_uid()
    catalog = admit_objects(tmp_path, sources)
    found = sorted(catalog.search(Modality="RTDOSE"), key=lambda series: series.record.n_instances)
    np.testing.assert_allclose(found[0].to_xarray(), expected, rtol=1e-6)
    assert found[0].open().attrs["units"] == "relative"
    with pytest.raises(InvalidObject, match=r"holds 2 objects: `series.objects\(\)`"):
        found[1].to_xarray()
    for dose in found[1].objects():
        np.testing.assert_allclose(dose, expected, rtol=1e-6)


# -- structure sets --------------------------------------------------------------------------------


def make_chest(study: str) -> list[Dataset]:
    series, frame = generate_uid(), generate_uid()
    slices = []
    for number in range(SHAPE[0]):
        dataset = make_slice("ct-chest", number, np.zeros(SHAPE[1:], np.int16), SPACING_MM)
        dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "case", study, series
        dataset.FrameOfReferenceUID = frame
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        slices.append(dataset)
    return slices


def make_structures(images: list[Dataset], regions: dict[str, list[tuple[int, list[tuple[float, float]]]]]) -> Dataset:
    """Return a structure set; regions are (slice, corners as (column, row)) in pixels of the images."""
    dataset = make_object(RTStructureSetStorage, "RTSTRUCT", str(images[0].StudyInstanceUID))
    rois, contours, observations = [], [], []
    for number, (name, drawn) in enumerate(regions.items(), start=1):
        roi, drawing, observation = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        drawing.ReferencedROINumber, drawing.ROIDisplayColor = number, [255, 10 * number, 0]
        observation.ReferencedROINumber, observation.RTROIInterpretedType = number, "ORGAN"
        drawing.ContourSequence = [make_contour(images[slice], corners) for slice, corners in drawn]
        rois.append(roi)
        contours.append(drawing)
        observations.append(observation)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = rois, contours
    dataset.RTROIObservationsSequence = observations
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    series.ContourImageSequence = [refer(image) for image in images]
    study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [series], [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    return dataset


def make_contour(image: Dataset, corners: list[tuple[float, float]]) -> Dataset:
    x0, y0, z = (float(value) for value in image.ImagePositionPatient)
    contour = Dataset()
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(corners)
    contour.ContourData = [value for column, row in corners for value in (x0 + column, y0 + row, z)]
    contour.ContourImageSequence = [refer(image)]
    return contour


def refer(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def open_structures(tmp_path: Path, regions: dict[str, list[tuple[int, list[tuple[float, float]]]]]) -> StructureSet:
    images = make_chest(generate_uid())
    catalog = admit_objects(tmp_path, [*images, make_structures(images, regions)])
    opened = find_one(catalog, Modality="RTSTRUCT").open()
    assert isinstance(opened, StructureSet)
    return opened


def test_contours_fill_the_voxels_whose_centres_they_enclose(tmp_path: Path) -> None:
    structures = open_structures(
        tmp_path,
        {
            "heart": [(1, box(4.5, 2.5, 20.5, 12.5)), (2, box(4.5, 2.5, 20.5, 12.5)), (2, box(7.5, 4.5, 9.5, 8.5))],
            "cord": [(2, box(30.5, 20.5, 33.5, 25.5))],
        },
    )
    heart = structures.find("heart")
    assert (heart.kind, heart.colour, len(heart.contours)) == ("ORGAN", (255, 10, 0), 3)
    assert structures.missing == ()
    labels = structures.to_labelmap()
    expected = np.zeros(SHAPE, np.uint8)
    expected[1:3, 3:13, 5:21] = 1
    expected[2, 5:9, 8:10] = 0  # a contour within a contour is a hole
    expected[2, 21:26, 31:34] = 2
    np.testing.assert_array_equal(labels, expected)
    assert labels.attrs["labels"] == ["heart", "cord"]
    image = structures.open_images()
    assert image.where(labels == 2).count() == 15  # the same coordinates, to the last digit
    assert "heart" in structures._repr_html_()


def test_regions_that_share_voxels_come_as_masks(tmp_path: Path) -> None:
    structures = open_structures(tmp_path, {"a": [(1, box(4.5, 2.5, 9.5, 9.5))], "b": [(1, box(8.5, 2.5, 12.5, 9.5))]})
    with pytest.raises(InvalidLabel, match="share voxels"):
        structures.to_labelmap()
    masks = structures.to_xarray()
    assert masks.dims == ("segment", "z", "y", "x")
    assert (masks.sum(dim=("z", "y", "x")).to_numpy() == [35, 28]).all()
    assert structures.to_labelmap(names=["b"]).sum() == 28
    with pytest.raises(InvalidLabel, match="there are: a, b"):
        structures.masks(names=["c"])


def test_gaps_between_contours_stay_empty_and_are_said(tmp_path: Path) -> None:
    structures = open_structures(tmp_path, {"a": [(number, box(4.5, 2.5, 9.5, 9.5)) for number in (0, 2, 4)]})
    with pytest.warns(UserWarning, match="one slice in 2 only"):
        labels = structures.to_labelmap()
    assert [int(plane.sum()) for plane in labels] == [35, 0, 35, 0, 35]


def test_contours_across_the_slices_are_refused(tmp_path: Path) -> None:
    structures = open_structures(tmp_path, {"a": [(1, box(4.5, 2.5, 9.5, 9.5))]})
    structures.regions[0].contours[0].points_mm[0, 2] += 1.5
    with pytest.raises(InvalidLabel, match="do not run within slices"):
        structures.to_labelmap()


def test_images_that_are_not_there_are_said(tmp_path: Path) -> None:
    images = make_chest(generate_uid())
    structures = make_structures(images, {"a": [(1, box(4.5, 2.5, 9.5, 9.5))]})
    other = make_chest(generate_uid())
    catalog: Catalog = admit_objects(tmp_path, [*other, structures])
    opened = find_one(catalog, Modality="RTSTRUCT").open()
    assert set(opened.missing) == {str(image.SOPInstanceUID) for image in images}
    with pytest.raises(NotFound, match="5 images"):
        opened.to_labelmap()
    assert opened.to_labelmap(find_one(catalog, Modality="CT").to_xarray()).sum() == 35


def test_real_structures_on_their_images(data: Path, tmp_path: Path) -> None:
    folder = data / "rtstruct"
    names = ["mock_data_ct_1.dcm", "mock_data_ct_2.dcm", "mock_data_rt.dcm", "mock_data_non_existent_reference_rt.dcm"]
    sources = [dcmread(folder / name) for name in names]
    partial = str(sources[3].SOPInstanceUID)
    catalog = admit_objects(tmp_path, sources)
    image = find_one(catalog, Modality="CT").to_xarray()
    for series in catalog.search(Modality="RTSTRUCT"):
        opened = series.open()
        if (
            series.instances[0].SOPInstanceUID == partial
        ):  # one of its three slices is not there, and it names no series
            assert len(opened.missing) == 3
            with pytest.raises(NotFound, match="series not named"):
                opened.masks()
            with pytest.warns(UserWarning, match="outside of this image"):
                masks = opened.masks(image)
        else:
            assert opened.missing == ()
            masks = opened.masks()
        check_against_outlines(opened, masks.to_numpy(), np.array(image.attrs["affine_lps"]))


def check_against_outlines(structures: StructureSet, masks: np.ndarray, affine: np.ndarray) -> None:
    """Compare with matplotlib's point-in-polygon, contour by contour, away from the lines themselves."""
    to_index = np.linalg.inv(affine)
    y, x = np.mgrid[: masks.shape[2], : masks.shape[3]]
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    compared = 0
    for region, mask in zip(structures, masks, strict=True):
        expected = np.zeros(mask.shape, int)
        for contour in region.contours:
            index = contour.points_mm @ to_index[:3, :3].T + to_index[:3, 3]
            z = round(float(index[0, 2]))
            if 0 <= z < len(mask):
                expected[z] += Outline(index[:, :2], closed=False).contains_points(centres).reshape(y.shape)
        assert np.count_nonzero((expected % 2 == 1) != mask) <= 0.02 * mask.sum() + 10  # centres on the very line
        compared += int(mask.sum())
    assert compared > 500


def test_polygons_of_every_shape_fill_by_the_even_odd_rule() -> None:
    generator = np.random.default_rng(7)
    y, x = np.mgrid[:50, :60]
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for _ in range(50):
        corners = generator.uniform(-10, 70, (int(generator.integers(3, 12)), 2))
        # Outline.contains_points fills by winding number: crossing lines are counted one by one
        begin, end = corners, np.roll(corners, -1, axis=0)
        crosses = (begin[:, 1] <= centres[:, None, 1]) != (end[:, 1] <= centres[:, None, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = begin[:, 0] + (centres[:, None, 1] - begin[:, 1]) / (end - begin)[:, 1] * (end - begin)[:, 0]
        expected = (crosses & (at <= centres[:, None, 0])).sum(axis=1) % 2 == 1
        np.testing.assert_array_equal(fill_polygon(corners, (50, 60)), expected.reshape(50, 60))


# -- plans -----------------------------------------------------------------------------------------


def name_object(uid: str) -> list[Dataset]:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = RTPlanStorage, uid
    return [item]


def make_plan(structures: Dataset) -> Dataset:
    """Return a plan of two beams; only the first is in its fraction group."""
    plan = make_object(RTPlanStorage, "RTPLAN", str(structures.StudyInstanceUID))
    plan.RTPlanLabel, plan.PlanIntent = "boost", "CURATIVE"
    plan.ReferencedStructureSetSequence = name_object(structures.SOPInstanceUID)
    target, organ, group, given = Dataset(), Dataset(), Dataset(), Dataset()
    target.DoseReferenceNumber, target.DoseReferenceDescription, target.DoseReferenceType = 1, "PTV", "TARGET"
    target.TargetPrescriptionDose, target.ReferencedROINumber = 60, 1
    organ.DoseReferenceNumber, organ.DoseReferenceType, organ.OrganAtRiskMaximumDose = 2, "ORGAN_AT_RISK", "45.5"
    plan.DoseReferenceSequence = [target, organ]
    group.FractionGroupNumber, group.NumberOfFractionsPlanned = 1, 30
    given.ReferencedBeamNumber, given.BeamMeterset, given.BeamDose = 1, "116.5", "2"
    group.ReferencedBeamSequence = [given]
    plan.FractionGroupSequence = [group]
    plan.BeamSequence = [make_beam(1, 181, 179), make_beam(2, 90, None)]
    return plan


def make_beam(number: int, begin: float, end: float | None) -> Dataset:
    beam, first, last = Dataset(), Dataset(), Dataset()
    beam.BeamNumber, beam.BeamName, beam.BeamType, beam.RadiationType = number, f"arc {number}", "DYNAMIC", "PHOTON"
    first.NominalBeamEnergy, first.GantryAngle, first.IsocenterPosition = 6, begin, [1, 2, -3]
    first.BeamLimitingDeviceAngle, first.PatientSupportAngle = 30, 0
    if end is not None:
        last.GantryAngle = end
    beam.NumberOfControlPoints, beam.ControlPointSequence = 2, [first, last]
    return beam


def test_a_plan_says_what_is_given_and_finds_what_belongs_to_it(tmp_path: Path) -> None:
    structures = make_object(RTStructureSetStorage, "RTSTRUCT", "1.2.3")
    plan = make_plan(structures)
    mine = make_dose([0, 3], ReferencedRTPlanSequence=name_object(plan.SOPInstanceUID))
    doses = [mine, make_dose([0, 3, 6], ReferencedRTPlanSequence=name_object("1.2.3.4"))]
    for dose in doses:
        dose.SeriesInstanceUID = generate_uid()
    catalog = admit_objects(tmp_path, [structures, plan, *doses])
    opened = find_one(catalog, Modality="RTPLAN").open()
    assert isinstance(opened, RadiotherapyPlan)
    assert repr(opened) == "<RadiotherapyPlan boost: 60 Gy to PTV; 30 fractions; 2 beams>"
    assert (opened.intent, opened.prescriptions[0].roi_number, opened.prescriptions[1].maximum_gy) == (
        "CURATIVE",
        1,
        45.5,
    )
    arc, other = opened.beams
    assert (arc.gantry_degrees, arc.isocentre_mm, arc.energy) == ((181, 179), (1, 2, -3), 6)
    assert (other.gantry_degrees, other.couch_degrees, other.n_control_points) == ((90, 90), 0, 2)
    assert opened.fraction_groups[0].dose_gy == {1: 2.0}
    assert opened.table[["name", "fractions", "meterset"]].to_numpy().tolist() == [["arc 1", 30, 116.5]]
    assert opened.open_structures().dataset.SOPInstanceUID == structures.SOPInstanceUID
    assert [dose.sizes["z"] for dose in opened.open_doses()] == [2]
    assert "arc 1" in opened._repr_html_()
    with pytest.raises(InvalidObject, match="is no array"):
        find_one(catalog, Modality="RTPLAN").to_xarray()


def test_a_real_plan_that_breaks_off_tells_what_it_has(data: Path, tmp_path: Path) -> None:
    catalog = admit_objects(tmp_path, [dcmread(data / "odd" / "pydicom-tests_rtplan_truncated.dcm")])
    plan = find_one(catalog).open()
    assert repr(plan) == "<RadiotherapyPlan Plan1: 30.8262 Gy to PTV; 30 fractions; 1 beams>"
    assert (plan.beams[0].name, plan.beams[0].isocentre_mm) == ("Field 1", None)
    assert plan.open_doses() == []
    with pytest.raises(NotFound, match="structure set of this plan"):
        plan.open_structures()
