"""Series of several volumes in copies of a dataset: diffusion, time, echoes and components, planes of a localizer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import zarr
from monai.transforms import LoadImaged
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import generate_uid

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.datasets import FrozenDataset
from aurelius_catalog.datasets.bids import BidsFolder
from aurelius_catalog.datasets.monai_reader import DatasetReader
from aurelius_catalog.datasets.zarr_copy import ZarrCopy
from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import Segment
from aurelius_catalog.settings import CatalogSettings
from support.cohort import admit, make_slice

STELLA = Person.of("stella", ["role-steward", "role-researcher"])
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
SLICES, ROWS, COLUMNS = 3, 4, 5
WEIGHTS = [0.0, 1000.0, 1000.0, 0.0, 2000.0]
#: Gradients in patient LPS; none for what is not weighted.
GRADIENTS = np.array([[0, 0, 0], [1, 0, 0], [0.6, 0.8, 0], [0, 0, 0], [0.48, -0.6, 0.64]])
#: Rows and columns of an oblique slice.
OBLIQUE = np.linalg.qr(np.array([[0.9, 0.2, 0.1], [-0.1, 0.8, 0.5], [0.3, -0.4, 0.9]]))[0].T[:2]
Change = Callable[[Dataset, int, int], None]


def make_series(name: str, repeats: int, change: Change) -> list[Dataset]:
    """Make slices at the same places ``repeats`` times; every voxel of a frame is ``10 * repeat + slice``."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    made = []
    for repeat in range(repeats):
        for number in range(SLICES):
            pixels = np.full((ROWS, COLUMNS), 10 * repeat + number, np.int16)
            dataset = make_slice("mr-brain", number, pixels, (2.0, 1.5, 1.5))
            dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = name, study, series
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.FrameOfReferenceUID, dataset.SeriesDescription = frame, name
            dataset.InstanceNumber = dataset.AcquisitionNumber = repeat * SLICES + number + 1
            dataset.RepetitionTime, dataset.EchoTime = "2500", "30"
            change(dataset, repeat, number)
            made.append(dataset)
    return made


def weigh(dataset: Dataset, repeat: int, number: int) -> None:
    """Make it a diffusion series of oblique slices."""
    dataset.Manufacturer = "Philips"
    dataset.DiffusionBValue, dataset.AcquisitionNumber = WEIGHTS[repeat], repeat + 1
    if WEIGHTS[repeat]:
        dataset.DiffusionGradientOrientation = GRADIENTS[repeat].tolist()
    normal = np.cross(*OBLIQUE)
    dataset.ImageOrientationPatient = OBLIQUE.ravel().tolist()
    dataset.ImagePositionPatient = (np.array([-10.0, 20.0, 5.0]) + 2.0 * number * normal).tolist()


def repeat_rest(dataset: Dataset, repeat: int, number: int) -> None:
    dataset.TemporalPositionIdentifier = repeat + 1


def part_echoes(dataset: Dataset, repeat: int, number: int) -> None:
    dataset.EchoTime, dataset.ComplexImageComponent = [3.0, 6.0][repeat // 2], ["MAGNITUDE", "PHASE"][repeat % 2]


def turn_plane(dataset: Dataset, repeat: int, number: int) -> None:
    if repeat:
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [-100.0 + 2 * number, -120, 50]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FrozenDataset:
    home = tmp_path_factory.mktemp("house")
    made = make_series("dti", 5, weigh) + make_series("rest bold", 4, repeat_rest)
    made += make_series("t1 echoes", 4, part_echoes) + make_series("t1 localizer", 2, turn_plane)
    series = admit(made, home)
    catalog = Catalog(LocalStore(CatalogSettings(home=home), STELLA))
    drawn = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    drawn[1, 2, 3] = 1
    catalog.store.add_annotation(
        series[0].record.SeriesInstanceUID, drawn, [Segment(number=1, label="tract")], origin="notebook"
    )
    return catalog.search(Modality="MR").freeze("several")


@pytest.fixture(scope="module")
def uids(dataset: FrozenDataset) -> dict[str, str]:
    return {str(series.record.PatientID): series.record.SeriesInstanceUID for series in dataset}


@pytest.fixture(scope="module")
def copy(dataset: FrozenDataset, tmp_path_factory: pytest.TempPathFactory) -> ZarrCopy:
    return dataset.to_zarr(tmp_path_factory.mktemp("copies") / "hot")


@pytest.fixture(scope="module")
def export(dataset: FrozenDataset, tmp_path_factory: pytest.TempPathFactory) -> BidsFolder:
    return dataset.to_bids(tmp_path_factory.mktemp("bids") / "bids")


def expected(repeats: int) -> NDArray[np.int64]:
    steps = np.arange(repeats)[:, None] * 10 + np.arange(SLICES)
    return np.broadcast_to(steps[..., None, None], (repeats, SLICES, ROWS, COLUMNS))


def test_volumes_are_an_axis_of_the_copy(copy: ZarrCopy, uids: dict[str, str]) -> None:
    assert (len(copy), copy.skipped) == (4, {})
    diffusion = copy[uids["dti"]]
    assert diffusion.dims == ("b", "z", "y", "x")
    np.testing.assert_array_equal(diffusion, expected(5))
    assert diffusion["b"].to_numpy().tolist() == WEIGHTS
    found = np.column_stack([diffusion[f"direction_{axis}"] for axis in "xyz"])
    np.testing.assert_allclose(found[[1, 2, 4]], GRADIENTS[[1, 2, 4]])
    assert np.isnan(found[[0, 3]]).all()
    assert (copy[uids["rest bold"]].dims, copy[uids["rest bold"]].shape[0]) == (("t", "z", "y", "x"), 4)
    echoes = copy[uids["t1 echoes"]]
    assert echoes.dims == ("volume", "z", "y", "x")
    told = list(zip(echoes["echo"].to_numpy().tolist(), echoes["component"].to_numpy().tolist(), strict=True))
    assert sorted(told) == [(3.0, "MAGNITUDE"), (3.0, "PHASE"), (6.0, "MAGNITUDE"), (6.0, "PHASE")]
    for (echo, component), volume in zip(told, echoes, strict=True):
        repeat = [3.0, 6.0].index(echo) * 2 + ["MAGNITUDE", "PHASE"].index(component)
        np.testing.assert_array_equal(volume, expected(4)[repeat])


def test_volumes_that_form_no_array_lie_side_by_side(
    dataset: FrozenDataset, copy: ZarrCopy, uids: dict[str, str]
) -> None:
    uid = uids["t1 localizer"]
    series = next(series for series in dataset if series.record.SeriesInstanceUID == uid)
    held = copy.volumes(uid)
    assert len(held) == 2
    for volume, image in zip(held, series.volumes(), strict=True):
        np.testing.assert_array_equal(volume, image)
        assert volume.attrs["affine_lps"] == image.attrs["affine_lps"]
    assert len(copy.volumes(uids["dti"])) == 1
    for open_one in (copy.__getitem__, copy.label):
        with pytest.raises(InvalidVolume, match=r"copy\.volumes"):
            open_one(uid)
    group = zarr.open_group(copy.folder / uid, mode="r")
    assert dict(group.attrs)["ome"] == {"version": "0.5", "bioformats2raw.layout": 3}  # as NGFF 0.5 has collections
    assert dict(zarr.open_group(copy.folder / uid / "OME", mode="r").attrs)["ome"] == {
        "version": "0.5",
        "series": ["0", "1"],
    }


def test_volumes_are_channels_of_what_is_trained_on(
    dataset: FrozenDataset, copy: ZarrCopy, uids: dict[str, str]
) -> None:
    items = dataset.to_monai(copy.folder)
    assert len(items) == 5
    assert [item["image"] for item in items if item["SeriesInstanceUID"] == uids["t1 localizer"]] == [
        str(copy.folder / uids["t1 localizer"] / number) for number in "01"
    ]
    [labelled] = dataset.to_monai(copy.folder, only_labelled=True)
    loaded = LoadImaged(["image", "label"], reader=DatasetReader(), ensure_channel_first=True)(labelled)
    assert (loaded["image"].shape, loaded["label"].shape) == ((5, COLUMNS, ROWS, SLICES), (1, COLUMNS, ROWS, SLICES))
    assert loaded["label"][0, 3, 2, 1] == 1
    read = {item["PatientID"]: item for item in dataset.to_torch(copy.folder)}
    assert {name: tuple(item["image"].shape) for name, item in read.items()} == {
        "dti": (5, SLICES, ROWS, COLUMNS),
        "rest bold": (4, SLICES, ROWS, COLUMNS),
        "t1 echoes": (4, SLICES, ROWS, COLUMNS),
        "t1 localizer": (1, SLICES, ROWS, COLUMNS),
    }
    np.testing.assert_array_equal(read["dti"]["image"], expected(5))
    lazy = dataset.to_torch()
    assert lazy[[item["PatientID"] for item in lazy.items].index("dti")]["label"].shape == (1, SLICES, ROWS, COLUMNS)
    with pytest.raises(InvalidVolume, match="to_monai"):
        lazy[[item["PatientID"] for item in lazy.items].index("t1 localizer")]


def test_bids_has_a_file_for_each_echo_and_component(export: BidsFolder, uids: dict[str, str]) -> None:
    assert export.skipped == {}
    files = {patient: [Path(path).name for path in export.files[uid]] for patient, uid in uids.items()}
    assert files == {
        "dti": ["sub-dti_ses-01_dwi.nii.gz"],
        "rest bold": ["sub-restbold_ses-01_task-rest_bold.nii.gz"],
        "t1 echoes": [
            f"sub-t1echoes_ses-01_echo-{echo}_part-{part}_T1w.nii.gz" for echo in (1, 2) for part in ("mag", "phase")
        ],
        "t1 localizer": [f"sub-t1localizer_ses-01_chunk-{number}_T1w.nii.gz" for number in (1, 2)],
    }
    told = []
    for path in export.files[uids["t1 echoes"]]:
        image = nib.load(export.folder / path)
        about = json.loads((export.folder / path.replace(".nii.gz", ".json")).read_text())
        told.append((image.shape, np.asarray(image.dataobj)[0, 0].tolist(), about["EchoTime"]))
    size = (COLUMNS, ROWS, SLICES)
    assert told == [(size, [10 * each, 10 * each + 1, 10 * each + 2], [3e-3, 6e-3][each // 2]) for each in range(4)]
    rest = export.folder / export.files[uids["rest bold"]][0]
    assert nib.load(rest).header.get_zooms() == (1.5, 1.5, 2.0, 2.5)
    about = json.loads(Path(str(rest).replace(".nii.gz", ".json")).read_text())
    assert (about["TaskName"], about["RepetitionTime"]) == ("rest", 2.5)
    scans = export.folder / "sub-t1localizer/ses-01/sub-t1localizer_ses-01_scans.tsv"
    assert [line.split("\t") for line in scans.read_text().splitlines()[1:]] == [
        [f"anat/{name}", uids["t1 localizer"]] for name in files["t1 localizer"]
    ]


def find_gradients(nifti: Path, bvec: Path) -> NDArray[np.float64]:
    """Return gradients in patient RAS from what FSL reads: along the axes of voxels, mirrored where right-handed."""
    axes = nib.load(nifti).affine[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    along = np.loadtxt(bvec).T
    if np.linalg.det(axes) > 0:
        along[:, 0] *= -1
    return along @ axes.T


def test_gradients_are_those_of_dcm2niix(
    dataset: FrozenDataset, export: BidsFolder, uids: dict[str, str], tmp_path: Path
) -> None:
    ours = export.folder / export.files[uids["dti"]][0]
    bvec, bval = (Path(str(ours).replace(".nii.gz", ending)) for ending in (".bvec", ".bval"))
    assert bval.read_text() == "0 1000 1000 0 2000\n"
    assert np.loadtxt(bvec).shape == (3, 5)
    np.testing.assert_allclose(find_gradients(ours, bvec), GRADIENTS @ LPS_TO_RAS, atol=1e-5)
    series = next(series for series in dataset if series.record.SeriesInstanceUID == uids["dti"])
    (tmp_path / "in").mkdir()
    for number, content in enumerate(series.read_files()):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(content)
    subprocess.run(["dcm2niix", "-o", tmp_path, "-f", "theirs", tmp_path / "in"], check=True, capture_output=True)
    theirs = find_gradients(tmp_path / "theirs.nii", tmp_path / "theirs.bvec")
    np.testing.assert_allclose(find_gradients(ours, bvec), theirs, atol=1e-4)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "theirs.bval"), WEIGHTS)


@pytest.mark.filterwarnings("ignore:1 frames of the segmentation lie outside")  # of each volume, those of the other
def test_a_label_lies_on_the_volume_it_was_drawn_on(tmp_path: Path) -> None:
    def part(dataset: Dataset, repeat: int, number: int) -> None:
        dataset.ImagePositionPatient = [-100, -120, 50 + 2 * number + 40 * repeat]

    (series,) = admit(make_series("t1 gap", 2, part), tmp_path / "house")
    catalog = Catalog(LocalStore(CatalogSettings(home=tmp_path / "house"), STELLA))
    drawn = np.zeros((2 * SLICES, ROWS, COLUMNS), np.uint8)
    drawn[SLICES + 1, 2, 3] = 1
    uid = series.record.SeriesInstanceUID
    catalog.store.add_annotation(uid, drawn, [Segment(number=1, label="cyst")], origin="notebook")
    frozen = catalog.search(Modality="MR").freeze("gap")
    copy = frozen.to_zarr(tmp_path / "hot")
    assert (len(copy.volumes(uid)), copy.skipped) == (2, {})
    items = frozen.to_monai(tmp_path / "hot", only_labelled=True)
    assert [item["image"][-2:] for item in items] == ["/0", "/1"]
    labels = [LoadImaged(["label"], reader=DatasetReader())(item)["label"].numpy() for item in items]
    assert [np.argwhere(label).tolist() for label in labels] == [[], [[3, 2, 1]]]
    export = frozen.to_bids(tmp_path / "bids")
    assert [path.split("_")[-2] for path in export.files[uid]] == ["chunk-1", "chunk-2"]
    masks = sorted((tmp_path / "bids" / "derivatives").rglob("*_dseg.nii.gz"))
    assert [int(np.asarray(nib.load(mask).dataobj).sum()) for mask in masks] == [0, 1]


def test_diffusion_without_directions_is_an_mr(tmp_path: Path) -> None:
    def trace(dataset: Dataset, repeat: int, number: int) -> None:
        dataset.DiffusionBValue, dataset.AcquisitionNumber = [0.0, 1000.0][repeat], repeat + 1

    admit(make_series("dti trace", 2, trace), tmp_path / "house")
    frozen = Catalog(LocalStore(CatalogSettings(home=tmp_path / "house"), STELLA)).search().freeze("trace")
    [[path]] = frozen.to_bids(tmp_path / "bids").files.values()
    assert path.endswith("/dwi/sub-dtitrace_ses-01_MR.nii.gz")
    assert not list((tmp_path / "bids").rglob("*.bvec"))
    assert not list((tmp_path / "bids").rglob("*_scans.tsv"))  # BIDS wants nothing listed there that it does not know
