"""Opening series: the same voxels as pydicom, the right place in the patient, no silent stacking."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from aurelius_catalog import Series
from aurelius_catalog.deidentified import DeidentifiedStudy, read_deidentified
from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.index import sort_slices
from aurelius_catalog.local import LocalStore
from aurelius_catalog.person import Person
from aurelius_catalog.phantoms import make_phantom
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.volume import measure_geometry, read_pixels
from cohort import SLICES, Cohort, make_cohort

STEWARD = Person.of("stella", ["role-steward"])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture
def chest(cohort: Cohort) -> Series:
    store = cohort.open_as(STEWARD)
    return Series(store, store.get_series(cohort.north_chest))


def admit(sources: list[FileDataset], home: Path) -> list[Series]:
    """Let real files in, saying of each that its patient's identity was removed."""
    settings = CatalogSettings(home=home, database_url="")
    (home / "incoming").mkdir(parents=True)
    studies: dict[str, list[Path]] = {}
    for number, dataset in enumerate(sources):
        dataset.PatientIdentityRemoved = "YES"
        for keyword, value in {
            "PatientID": "odd",
            "StudyInstanceUID": generate_uid(),
            "SeriesInstanceUID": generate_uid(),
            "Modality": "OT",
        }.items():
            if not dataset.get(keyword):
                setattr(dataset, keyword, value)
        path = home / "incoming" / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        studies.setdefault(str(dataset.StudyInstanceUID), []).append(path)
    intake = LocalStore(settings, Person.service("intake"))
    for paths in studies.values():
        intake.add_study(DeidentifiedStudy("north", tuple(read_deidentified(path) for path in paths)))
    store = LocalStore(settings, STEWARD)
    return [Series(store, record) for record in store.find_series()]


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


def test_opening_is_lazy(chest: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = LocalStore.read_frame
    monkeypatch.setattr(LocalStore, "read_frame", lambda *arguments: read.append(1) or original(*arguments))
    image = chest.to_xarray()
    assert read == []
    image[3].to_numpy()
    assert len(read) == 1


def test_the_volume_agrees_with_the_array(chest: Series) -> None:
    volume = chest.volume()
    np.testing.assert_array_equal(volume.array, chest.to_xarray().to_numpy())
    corner = volume.map_indices_to_reference(np.array([[2, 5, 7]]))[0]  # slice, row, column
    expected = np.array(chest.to_xarray().attrs["affine_lps"]) @ [7, 5, 2, 1]
    np.testing.assert_allclose(corner, expected[:3])


def test_missing_slices_and_several_volumes_are_said(chest: Series) -> None:
    with pytest.raises(InvalidVolume, match="missing or unevenly spaced"):
        measure_geometry(chest.instances[:3] + chest.instances[4:])
    with pytest.raises(InvalidVolume, match="more than one volume"):
        measure_geometry(sort_slices(chest.instances + chest.instances[:1]))
    tilted = chest.instances[1].model_copy(update={"ImageOrientationPatient": (0, 1, 0, 0, 0, 1)})
    with pytest.raises(InvalidVolume, match="different planes"):
        measure_geometry([chest.instances[0], tilted])


@pytest.mark.parametrize("folder", ["ct-ge", "mr-siemens-jpeg2000", "mr-siemens-sagittal"])
def test_real_series_read_as_pydicom_reads_them(data: Path, tmp_path: Path, folder: str) -> None:
    sources = [dcmread(path) for path in sorted((data / folder).glob("*.dcm"))]
    images = {str(source.SOPInstanceUID): rescaled(source) for source in sources if "PixelData" in source}
    read = 0
    for series in admit(sources, tmp_path):
        for instance in series.instances:
            pixels = read_pixels(series._store, instance, 0)
            np.testing.assert_array_equal(pixels, images[instance.SOPInstanceUID])
            read += 1
    assert read == len(images) >= 20


def rescaled(dataset: Dataset) -> np.ndarray:
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return dataset.pixel_array.astype(np.float32) * np.float32(slope) + np.float32(intercept)


@pytest.fixture(scope="module")
def odd_series(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Series]:
    names = [
        "pydicom-data_HTJ2K_08_RGB.dcm",
        "pydicom-data_emri_small_RLE.dcm",
        "pydicom-tests_MR_small_RLE.dcm",
        "pydicom-tests_MR_small_bigendian.dcm",
        "pydicom-tests_SC_rgb_rle_2frame.dcm",
        "pydicom-tests_image_dfl.dcm",
    ]
    sources = [dcmread(data / "odd" / name) for name in names]
    for source in sources:  # some are one image in several encodings
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        source.SeriesInstanceUID = generate_uid()
    return admit(sources, tmp_path_factory.mktemp("odd"))


def test_every_encoding_reads_as_pydicom_reads_it(odd_series: list[Series]) -> None:
    assert len(odd_series) == 6
    for series in odd_series:
        for instance in series.instances:
            expected = dcmread(series._store._path(instance))  # type: ignore[attr-defined]
            array = series.to_xarray().to_numpy()
            pixels = expected.pixel_array
            np.testing.assert_allclose(array.reshape(pixels.shape), pixels)
