"""Opening series: the same voxels as pydicom, lazily or at once, volumes told apart, nothing silently stacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from importlib import import_module
from pathlib import Path

import nibabel
import numpy as np
import pytest
import xarray as xr
from pydicom import Dataset, dcmread
from pydicom.uid import PositronEmissionTomographyImageStorage, generate_uid
from sqlalchemy import select, update

from aurelius_catalog import Series
from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest, InvalidVolume
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.index.schema import instances
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.volumes import open_volume
from aurelius_deidentify.media_types import NIFTI
from support.cohort import SLICES, Cohort, admit, make_cohort, make_slice

STEWARD = Person.of("stella", ["role-steward"])
SPACING_MM = (2.0, 1.5, 1.0)
Change = Callable[[Dataset, int, int], None]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture
def chest(cohort: Cohort) -> Series:
    store = cohort.open_as(STEWARD)
    return Series(store, store.get_series(cohort.north_chest))


def make_series(repeats: int, slices: int, change: Change) -> list[Dataset]:
    """Make slices at the same places ``repeats`` times; ``change(dataset, repeat, slice)`` tells them apart.

    Every voxel of a frame is ``10 * repeat + slice``.
    """
    study, series = generate_uid(), generate_uid()
    made = []
    for repeat in range(repeats):
        for number in range(slices):
            pixels = np.full((4, 5), 10 * repeat + number, np.int16)
            dataset = make_slice("mr-brain", number, pixels, SPACING_MM)
            dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "several", study, series
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.InstanceNumber = repeat * slices + number + 1
            change(dataset, repeat, number)
            made.append(dataset)
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One house for all series that are made here: a fresh index each would take longer than the tests."""
    return tmp_path_factory.mktemp("several")


def open_changed(home: Path, repeats: int, slices: int, change: Change) -> Series:
    (series,) = admit(make_series(repeats, slices, change), home)
    return series


def keep(dataset: Dataset, repeat: int, number: int) -> None:
    """Change nothing."""


def expected(*shape: int) -> np.ndarray:
    """Return what `make_series` puts into (repeat, slice)."""
    steps = np.arange(shape[0])[:, None] * 10 + np.arange(shape[1])
    return np.broadcast_to(steps[..., None, None], (*shape, 4, 5))


# -- one volume ----------------------------------------------------------------------------------


def test_voxels_units_and_millimetres(chest: Series) -> None:
    phantom = make_phantom("ct-chest", 1)
    image = chest.to_xarray()
    assert image.dims == ("z", "y", "x")
    assert image.dtype == np.float32
    assert image.attrs["units"] == "HU"
    np.testing.assert_array_equal(image.to_numpy(), phantom.image[SLICES].astype(np.float32))
    np.testing.assert_allclose([float(image[axis][1]) for axis in "zyx"], phantom.spacing_mm)
    affine = np.array(image.attrs["affine_lps"])
    first = chest.instances[0].ImagePositionPatient
    np.testing.assert_allclose(affine @ [0, 0, 0, 1], [*(first or ()), 1])


def test_opening_reads_nothing_and_a_part_reads_its_frames_only(chest: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = chest._store.fill_frames

    def count(frames: Sequence[object], out: object) -> None:
        read.append(len(frames))
        original(frames, out)  # type: ignore[arg-type]

    monkeypatch.setattr(chest._store, "fill_frames", count)
    image = chest.to_xarray(dtype="stored")
    assert read == []
    image[3].to_numpy()
    image[2:8:3, 4, ::2].to_numpy()
    assert read == [1, 2]
    image.load()
    assert read == [1, 2, 12]
    image.sum()
    assert read == [1, 2, 12]


def test_every_way_of_indexing_gives_what_numpy_gives(chest: Series) -> None:
    whole = chest.to_xarray().to_numpy()
    ways: list[dict[str, object]] = [
        {"z": 3},
        {"z": -1, "x": slice(2, 9)},
        {"z": slice(None, None, -1)},
        {"z": [5, 1, 1], "y": 7},
        {"y": [2, 3], "x": [8, 1, 0]},
        {"z": slice(4, 4)},
        {"x": 11},
    ]
    for way in ways:
        wanted = xr.DataArray(whole, dims=("z", "y", "x")).isel(way)
        np.testing.assert_array_equal(chest.to_xarray().isel(way).to_numpy(), wanted.to_numpy(), str(way))
    nearest = chest.to_xarray().sel(z=6.2, method="nearest")
    np.testing.assert_array_equal(nearest.to_numpy(), whole[2])


def test_stored_values_floats_and_dask(chest: Series) -> None:
    whole = chest.to_xarray().to_numpy()
    stored = chest.to_xarray(dtype="stored")
    assert (stored.dtype, stored.attrs["units"]) == (np.dtype("int16"), "")
    np.testing.assert_array_equal(stored.to_numpy(), whole)
    assert chest.to_xarray(dtype="float64").to_numpy().dtype == np.float64
    with pytest.raises(InvalidRequest, match=r'"stored" or as a float'):
        chest.to_xarray(dtype="int32")
    chunked = chest.to_xarray(chunks={"z": 5})
    assert chunked.chunks is not None
    assert chunked.chunks[0] == (5, 5, 2)
    np.testing.assert_array_equal((chunked * 2).mean("z").to_numpy(), (whole * 2).mean(0))
    assert chest.to_xarray(chunks={}).data.name == chest.to_xarray(chunks={}).data.name


def test_the_volume_agrees_with_the_array(chest: Series) -> None:
    volume = chest.volume()
    np.testing.assert_array_equal(volume.array, chest.to_xarray().to_numpy())
    corner = volume.map_indices_to_reference(np.array([[2, 5, 7]]))[0]  # slice, row, column
    wanted = np.array(chest.to_xarray().attrs["affine_lps"]) @ [7, 5, 2, 1]
    np.testing.assert_allclose(corner, wanted[:3])


# -- what does not form one volume ---------------------------------------------------------------


def test_a_gap_is_said_and_its_two_sides_can_be_had(home: Path) -> None:
    slices = make_series(1, 9, keep)
    (series,) = admit(slices[:3] + slices[4:], home)
    with pytest.raises(InvalidVolume, match=r"missing or unevenly spaced \(2\.000 to 4\.000 mm\)"):
        series.to_xarray()
    parts = series.volumes()
    assert [part.sizes["z"] for part in parts] == [3, 5]
    assert [float(part[0, 0, 0]) for part in parts] == [0, 4]
    assert np.array(parts[1].attrs["affine_lps"])[2, 3] == pytest.approx(50 + 4 * 2)


def test_images_that_came_twice_are_said(home: Path) -> None:
    series = open_changed(home, 2, 5, keep)
    with pytest.raises(InvalidVolume, match="lie at the same place, and nothing in their headers tells them apart"):
        series.to_xarray()
    assert [part.sizes["z"] for part in series.volumes()] == [5, 5]


def test_a_localizer_is_parted_from_the_slices(home: Path) -> None:
    def turn(dataset: Dataset, repeat: int, number: int) -> None:
        if number == 4:
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    series = open_changed(home, 1, 5, turn)
    with pytest.raises(InvalidVolume, match="differ in size, kind or orientation"):
        series.to_xarray()
    assert sorted(part.sizes["z"] for part in series.volumes()) == [1, 4]


def test_a_tilted_gantry_is_said(home: Path) -> None:
    def shift(dataset: Dataset, repeat: int, number: int) -> None:
        dataset.ImagePositionPatient = [0, number * 0.5, number * 2]

    series = open_changed(home, 1, 5, shift)
    with pytest.raises(InvalidVolume, match=r"tilted by 14\.0°"):
        series.to_xarray()
    image = series.to_xarray(allow_shear=True)
    np.testing.assert_allclose(np.array(image.attrs["affine_lps"]) @ [0, 0, 4, 1], [0, 2, 8, 1])
    with pytest.raises(InvalidVolume, match=r"tilted"):
        series.volume()


def test_no_image_is_said(home: Path) -> None:
    slices = make_series(1, 1, keep)
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(slices[0], keyword)
    (series,) = admit(slices, home)
    with pytest.raises(InvalidVolume, match="holds no image"):
        series.to_xarray()


# -- several volumes -----------------------------------------------------------------------------


def mark(keyword: str, *values: object) -> Change:
    return lambda dataset, repeat, number: setattr(dataset, keyword, values[repeat])


def by_slice_time(dataset: Dataset, repeat: int, number: int) -> None:
    dataset.AcquisitionTime = f"0959{30 + repeat * 2:02}.{number}00000"  # every slice has a moment of its own


@pytest.mark.parametrize(
    ("change", "axis", "values", "units", "order"),
    [
        (mark("EchoTime", "4.6", "2.3", "6.9"), "echo", [2.3, 4.6, 6.9], "ms", [1, 0, 2]),
        (mark("TemporalPositionIdentifier", 3, 2, 1), "t", [1, 2, 3], "", [2, 1, 0]),
        (mark("TriggerTime", "40", "20", "60"), "phase", [20, 40, 60], "ms", [1, 0, 2]),
        (mark("AcquisitionNumber", 1, 2, 3), "t", [1, 2, 3], "", [0, 1, 2]),
        (mark("ImageType", ["A", "M"], ["A", "P"], ["A", "R"]), "kind", ["A\\M", "A\\P", "A\\R"], "", [0, 1, 2]),
        (by_slice_time, "t", [0, 2, 4], "s", [0, 1, 2]),
    ],
)
def test_what_tells_volumes_apart_is_an_axis(
    home: Path, change: Change, axis: str, values: list[object], units: str, order: list[int]
) -> None:
    image = open_changed(home, 3, 4, change).to_xarray()
    assert image.dims == (axis, "z", "y", "x")
    assert image[axis].to_numpy().tolist() == values
    assert image[axis].attrs["units"] == units
    np.testing.assert_array_equal(image.to_numpy(), expected(3, 4)[order])


def test_two_attributes_make_two_axes(home: Path) -> None:
    def change(dataset: Dataset, repeat: int, number: int) -> None:
        dataset.EchoTime, dataset.TemporalPositionIdentifier = [2.5, 5.0][repeat % 2], repeat // 2 + 1

    image = open_changed(home, 6, 3, change).to_xarray()
    assert image.dims == ("echo", "t", "z", "y", "x")
    np.testing.assert_array_equal(image[1, 2, :, 0, 0], 10 * 5 + np.arange(3))
    assert "affine_lps" in image.attrs


def test_diffusion_keeps_the_order_it_was_taken_in_and_its_directions(home: Path) -> None:
    weights = [0, 1000, 1000, 0, 2000]

    def change(dataset: Dataset, repeat: int, number: int) -> None:
        dataset.DiffusionBValue, dataset.AcquisitionNumber = float(weights[repeat]), repeat + 1
        if weights[repeat]:
            dataset.DiffusionGradientOrientation = [float(repeat == 1), float(repeat == 2), float(repeat == 4)]

    image = open_changed(home, 5, 3, change).to_xarray()
    assert image.dims == ("b", "z", "y", "x")
    assert image["b"].to_numpy().tolist() == weights
    np.testing.assert_array_equal(image.to_numpy(), expected(5, 3))
    assert image["direction_y"].to_numpy()[[1, 2, 4]].tolist() == [0, 1, 0]


def test_an_unfinished_volume_is_parted(home: Path) -> None:
    slices = make_series(3, 4, mark("TemporalPositionIdentifier", 1, 2, 3))
    (series,) = admit(slices[:-1], home)
    with pytest.raises(InvalidVolume, match="with other TemporalPositionIdentifier"):
        series.to_xarray()
    assert [part.sizes["z"] for part in series.volumes()] == [4, 4, 3]


def test_enhanced_multi_frame(data: Path, home: Path) -> None:
    folder = data / "mr-enhanced-multiframe"
    sources = [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    images = {series.record.n_instances: series.to_xarray() for series in admit(deepcopy(sources), home)}
    assert images[4].dims == ("t", "z", "y", "x")
    assert images[1].dims == ("component", "z", "y", "x")
    assert images[1]["component"].to_numpy().tolist() == ["MAGNITUDE", "REAL"]
    (field_map,) = [source for source in sources if source.NumberOfFrames == 64]
    for group, stored in zip(field_map.PerFrameFunctionalGroupsSequence, field_map.pixel_array, strict=True):
        transform = group.PixelValueTransformationSequence[0]  # magnitude and field have their own
        wanted = stored * float(transform.RescaleSlope) + float(transform.RescaleIntercept)
        component = group.MRImageFrameTypeSequence[0].ComplexImageComponent
        affine = np.array(images[1].attrs["affine_lps"])
        position = group.PlanePositionSequence[0].ImagePositionPatient
        z = round(float((np.linalg.inv(affine) @ [*position, 1])[2]))
        np.testing.assert_allclose(images[1].sel(component=component)[z], wanted, rtol=1e-5, atol=1e-3)


# -- kinds of images -----------------------------------------------------------------------------


def test_pet_is_rescaled_slice_by_slice(home: Path) -> None:
    def change(dataset: Dataset, repeat: int, number: int) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
        dataset.Units, dataset.Modality = "BQML", "PT"
        dataset.RescaleSlope, dataset.RescaleIntercept = str(number + 0.5), "0"

    image = open_changed(home, 1, 4, change).to_xarray()
    assert image.attrs["units"] == "BQML"
    np.testing.assert_allclose(image[:, 0, 0], [number * (number + 0.5) for number in range(4)])


def add_table(dataset: Dataset, repeat: int, number: int, kind: str = "OD") -> None:
    """Say by a table what the stored values -1, 0 and 1 mean; each slice has a table of its own."""
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        if keyword in dataset:
            del dataset[keyword]
    table = Dataset()
    table.add_new("LUTDescriptor", "SS", [3, -1, 16])
    table.ModalityLUTType = kind
    table.add_new("LUTData", "OW", np.array([7, 1, 2 + number], "<u2").tobytes())
    dataset.ModalityLUTSequence = [table]


def test_a_table_says_what_stored_values_mean(home: Path) -> None:
    series = open_changed(home, 1, 4, add_table)
    image = series.to_xarray()
    # Stored are 0, 1, 2, 3: the table of each slice begins at -1 and ends at 1.
    np.testing.assert_array_equal(image[:, 0, 0], [1, 3, 4, 5])
    assert (image.dtype, image.attrs["units"], image.attrs["ModalityLUTType"]) == (np.float32, "OD", "OD")
    stored = series.to_xarray(dtype="stored")
    np.testing.assert_array_equal(stored[:, 0, 0], range(4))
    assert "ModalityLUTType" not in stored.attrs


def test_an_index_from_before_learns_which_images_have_a_table(home: Path) -> None:
    series = open_changed(home, 1, 2, add_table)
    migration = import_module("aurelius_catalog.index.migrations.versions.0008_modality_tables")
    engine = open_engine(CatalogSettings(home=home))
    of_series = instances.c.SeriesInstanceUID == series.record.SeriesInstanceUID
    question = select(instances.c.per_frame).where(of_series)
    with writing(engine) as connection:
        before = connection.execute(question).all()
        connection.execute(update(instances).where(of_series).values(per_frame={}))
        migration.fill_from_headers(connection)
        assert connection.execute(question).all() == before
    assert before[0].per_frame["ModalityLUTType"] == ["OD"]


def test_a_table_in_some_slices_only_leaves_the_others_alone(home: Path) -> None:
    def change(dataset: Dataset, repeat: int, number: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = "1", "100"
        if number == 2:
            add_table(dataset, repeat, number, "US")

    image = open_changed(home, 1, 4, change).to_xarray()
    np.testing.assert_array_equal(image[:, 0, 0], [100, 101, 4, 103])


def test_a_table_that_cannot_be_read_is_said(home: Path) -> None:
    def change(dataset: Dataset, repeat: int, number: int) -> None:
        add_table(dataset, repeat, number)
        dataset.ModalityLUTSequence[0].LUTData = b"\0\0"

    series = open_changed(home, 1, 2, change)
    with pytest.raises(InvalidRequest, match="Modality LUT"):
        series.to_xarray().load()
    assert series.to_xarray(dtype="stored").max() == 1


def test_a_film_has_time_and_colour(data: Path, home: Path) -> None:
    source = dcmread(data / "odd" / "pydicom-tests_examples_ybr_color.dcm")
    wanted = source.pixel_array
    (series,) = admit([source], home)
    image = series.to_xarray()
    assert image.dims == ("t", "y", "x", "c")
    assert image["t"].attrs["units"] == "s"
    assert float(image["t"][1]) == pytest.approx(float(source.FrameTime) / 1000)
    assert image.attrs["PhotometricInterpretation"] == "RGB"
    difference = np.abs(image[[0, 17]].to_numpy().astype(int) - wanted[[0, 17]])
    assert difference.max() <= 3  # decoders of lossy JPEG differ by as much in subsampled colours


def test_a_palette_becomes_colour(data: Path, home: Path) -> None:
    source = dcmread(data / "odd" / "pydicom-data_OBXXXX1A_rle_2frame.dcm")
    from pydicom.pixels import apply_color_lut

    wanted = apply_color_lut(source.pixel_array, source)
    (series,) = admit([source], home)
    image = series.to_xarray()
    assert (image.dims, image.dtype) == (("frame", "y", "x", "c"), np.uint16)
    np.testing.assert_array_equal(image.to_numpy(), wanted)


def test_monochrome_1_is_said(data: Path, home: Path) -> None:
    (series,) = admit([dcmread(data / "odd" / "pydicom-data_RG3_J2KI.dcm")], home)
    assert series.to_xarray().attrs["PhotometricInterpretation"] == "MONOCHROME1"


@pytest.mark.parametrize("folder", ["mr-siemens-jpeg2000", "mr-siemens-sagittal"])
def test_real_series_read_as_pydicom_reads_them(data: Path, home: Path, folder: str) -> None:
    sources = [dcmread(path) for path in sorted((data / folder).glob("*.dcm"))]
    wanted = {str(source.SOPInstanceUID): rescaled(source) for source in sources}
    (series,) = admit(sources, home)
    image = series.to_xarray().to_numpy()
    for pixels, instance in zip(image, series.instances, strict=True):
        np.testing.assert_array_equal(pixels, wanted[instance.SOPInstanceUID])
    assert len(image) >= 35


def rescaled(dataset: Dataset) -> np.ndarray:
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return dataset.pixel_array.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def test_a_nifti_of_several_volumes_has_time(cohort: Cohort) -> None:
    image = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5), np.diag([2.0, 3.0, 4.0, 1.0]))
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((2, 3, 4, 2500))
    image.header.set_slope_inter(2, 1)
    store = cohort.open_as(STEWARD)
    (stored, *_) = store.list_instances(cohort.north_chest)
    store.read_file = lambda SOPInstanceUID: image.to_bytes()  # type: ignore[method-assign]
    volumes = open_volume(store, [stored.model_copy(update={"media_type": NIFTI})])
    assert volumes.dims == ("t", "z", "y", "x")
    assert volumes["t"].to_numpy().tolist() == [0, 2.5, 5, 7.5, 10]
    np.testing.assert_array_equal(volumes, np.asarray(image.dataobj).T * 2 + 1)
    assert open_volume(store, [stored.model_copy(update={"media_type": NIFTI})], dtype="stored").dtype == np.int16


# -- xarray's own way ----------------------------------------------------------------------------


def test_xarray_opens_the_address_of_a_series(chest: Series, cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    from aurelius_catalog import Catalog
    from aurelius_catalog.xarray_backend import AureliusBackend

    monkeypatch.setattr("aurelius_catalog.catalog.open_catalog", lambda: Catalog(cohort.open_as(STEWARD)))
    address = f"aurelius://{cohort.north_chest}"
    dataset = xr.open_dataset(address, engine=AureliusBackend, chunks={"z": 4})
    assert dataset.attrs["Modality"] == "CT"
    np.testing.assert_array_equal(dataset["image"].to_numpy(), chest.to_xarray().to_numpy())
    assert xr.open_dataset(address, engine=AureliusBackend, dtype="stored")["image"].dtype == np.int16
    with pytest.raises(InvalidRequest, match="has 1 volumes"):
        xr.open_dataset(address, engine=AureliusBackend, volume=1)
    assert AureliusBackend().guess_can_open(address)
    assert not AureliusBackend().guess_can_open("image.nc")


def test_xarray_finds_the_backend_by_itself(chest: Series, cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    from aurelius_catalog import Catalog

    if "aurelius" not in xr.backends.list_engines():
        pytest.skip("the installed distribution is older than its entry point: install it again")
    monkeypatch.setattr("aurelius_catalog.catalog.open_catalog", lambda: Catalog(cohort.open_as(STEWARD)))
    assert xr.open_dataset(f"aurelius://{cohort.north_chest}")["image"].sizes["z"] == 12
