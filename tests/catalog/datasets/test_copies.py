"""Copies of a frozen dataset: OME-Zarr, MONAI, PyTorch and BIDS all show the voxels the catalog shows."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from monai.transforms import LoadImaged
from pydicom.uid import VLWholeSlideMicroscopyImageStorage
from torch.utils.data import DataLoader

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.datasets import FrozenDataset, FrozenSeries
from aurelius_catalog.datasets.bids_names import find_kind
from aurelius_catalog.datasets.monai_reader import DatasetReader
from aurelius_catalog.datasets.ome_zarr import read_image, write_image
from aurelius_catalog.errors import InvalidRequest, InvalidVolume, NotFound
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.local.forgetting import Tombstone, forget_rows
from aurelius_catalog.records import Segment, SeriesRecord
from support.cohort import Cohort, make_cohort
from support.servers_catalog import REPOSITORY

STELLA = Person.of("stella", ["role-steward", "role-researcher"])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def dataset(cohort: Cohort) -> FrozenDataset:
    """Two chests and a brain; both chests labelled, with numbers of their own, and the SEG of one as a series."""
    catalog = Catalog(cohort.open_as(STELLA))
    labels = np.zeros((12, 96, 96), np.uint8)
    labels[5:7, 40:50, 30:35] = 1
    north, south = [["nodule", "lung"], ["lung"]]
    for uid, names in ((cohort.north_chest, north), (cohort.south_chest, south)):
        segments = [Segment(number=number, label=name) for number, name in enumerate(names, 1)]
        catalog.store.add_annotation(uid, labels, segments, origin="notebook")
    return catalog.search(Modality=["CT", "MR"]).freeze("all")


@pytest.fixture(scope="module")
def hot(dataset: FrozenDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies") / "hot"
    dataset.to_zarr(folder)
    return folder


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_zarr_copy_holds_the_same_voxels_in_the_same_place(dataset: FrozenDataset, hot: Path, cohort: Cohort) -> None:
    copy = dataset.to_zarr(hot)
    assert (len(copy), copy.written, copy.skipped) == (3, (), {})
    assert dataset.segments == {"lung": 1, "nodule": 2}
    for series in dataset:
        image, held = series.to_xarray(), copy[series.record.SeriesInstanceUID]
        assert held.dtype == np.int16
        xr.testing.assert_equal(held.astype(np.float32), image.drop_attrs())
        assert [held.attrs[name] for name in ("affine_lps", "spacing_mm", "units")] == [
            image.attrs[name] for name in ("affine_lps", "spacing_mm", "units")
        ]
    found = [copy.label(uid) for uid in (cohort.north_chest, cohort.south_chest)]
    assert [np.unique(label).tolist() for label in found if label is not None] == [[0, 2], [0, 1]]
    assert copy.label(cohort.north_brain) is None


def test_zarr_copy_is_ome_zarr(hot: Path, cohort: Cohort) -> None:
    """Word by word what https://ngff.openmicroscopy.org/0.5 asks for, and the orientation of RFC-4."""
    about = json.loads((hot / cohort.north_chest / "zarr.json").read_text())
    assert (about["zarr_format"], about["node_type"]) == (3, "group")
    ome = about["attributes"]["ome"]
    assert ome["version"] == "0.5"
    [multiscale] = ome["multiscales"]
    assert [(axis["name"], axis["type"], axis["unit"]) for axis in multiscale["axes"]] == [
        (name, "space", "millimeter") for name in "zyx"
    ]
    assert [axis["orientation"] for axis in multiscale["axes"]] == [
        {"type": "anatomical", "value": value}
        for value in ("inferior-to-superior", "anterior-to-posterior", "right-to-left")
    ]
    scale = {"type": "scale", "scale": [3.0, 3.5, 3.5]}
    assert multiscale["datasets"] == [{"path": "0", "coordinateTransformations": [scale]}]
    array = json.loads((hot / cohort.north_chest / "0" / "zarr.json").read_text())
    assert array["dimension_names"] == ["z", "y", "x"]
    assert [codec["name"] for codec in array["codecs"]] == ["sharding_indexed"]
    assert array["chunk_grid"]["configuration"]["chunk_shape"] == [12, 128, 128]
    assert array["codecs"][0]["configuration"]["chunk_shape"] == [12, 64, 64]
    labels = json.loads((hot / cohort.north_chest / "labels" / "zarr.json").read_text())["attributes"]["ome"]
    assert labels == {"version": "0.5", "labels": ["newest"]}
    label = json.loads((hot / cohort.north_chest / "labels" / "newest" / "zarr.json").read_text())["attributes"]["ome"]
    assert label["image-label"] == {
        "version": "0.5",
        "properties": [{"label-value": 1, "name": "lung"}, {"label-value": 2, "name": "nodule"}],
        "source": {"image": "../../"},
    }
    assert label["multiscales"] == ome["multiscales"]


@pytest.mark.parametrize(
    ("dims", "shape", "written"),
    [
        (("t", "y", "x", "c"), (5, 70, 65, 3), ("t", "c", "y", "x")),
        (("echo", "z", "y", "x"), (2, 3, 65, 64), ("echo", "z", "y", "x")),
        (("y", "x"), (65, 64), ("y", "x")),
    ],
)
def test_films_colour_and_several_volumes_have_their_axes_in_order(
    tmp_path: Path, dims: tuple[str, ...], shape: tuple[int, ...], written: tuple[str, ...]
) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    image = xr.DataArray(values, dims=dims, attrs={"units": "ms"}).assign_coords({dims[0]: np.arange(shape[0]) * 0.5})
    write_image(zarr.create_group(tmp_path / "image"), image)
    held = read_image(zarr.open_group(tmp_path / "image", mode="r"))
    assert held.dims == written
    xr.testing.assert_equal(held.transpose(*dims), image.drop_attrs())
    axes = zarr.open_group(tmp_path / "image").attrs["ome"]["multiscales"][0]["axes"]  # type: ignore[call-overload,index]
    assert [axis["type"] for axis in axes] == [
        {"t": "time", "c": "channel", "echo": "channel"}.get(dim, "space") for dim in written
    ]


def test_axes_that_ome_zarr_has_no_room_for_become_one(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(2, 4, 3, 5, 6, 7)).astype(np.float32)
    image = xr.DataArray(values, dims=("echo", "t", "phase", "z", "y", "x"), attrs={"units": ""})
    image = image.assign_coords(echo=("echo", [2.5, 5.0], {"units": "ms"}), t=("t", np.arange(4) * 2.0, {"units": "s"}))
    image = image.assign_coords(phase=("phase", [0, 300, 600], {"units": "ms"}), kind=("echo", ["a", "b"]))
    write_image(zarr.create_group(tmp_path / "image"), image)
    held = read_image(zarr.open_group(tmp_path / "image", mode="r"))
    assert held.dims == ("t", "volume", "z", "y", "x")
    assert [held[name].to_numpy().tolist() for name in ("echo", "phase", "kind")] == [
        [2.5, 2.5, 2.5, 5, 5, 5],
        [0, 300, 600] * 2,
        ["a"] * 3 + ["b"] * 3,
    ]
    assert (held["echo"].attrs["units"], held["t"].to_numpy().tolist()) == ("ms", [0, 2, 4, 6])
    np.testing.assert_array_equal(held.to_numpy(), values.transpose(1, 0, 2, 3, 4, 5).reshape(4, 6, 5, 6, 7))
    attributes: Any = zarr.open_group(tmp_path / "image").attrs["ome"]
    [multiscale] = attributes["multiscales"]
    assert multiscale["axes"][0] == {"name": "t", "type": "time", "unit": "second"}
    assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"][:2] == [2, 1]


def test_a_copy_that_was_killed_goes_on(dataset: FrozenDataset, hot: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hot"
    script = (
        "import pickle, sys, time\n"
        "from aurelius_catalog.datasets import zarr_copy\n"
        "write = zarr_copy.write_image\n"
        "def crawl(group, image, **about):\n"
        "    write(group, image, **about)\n"
        "    if 'dataset' in about: print('one', flush=True); time.sleep(0 if about['Modality'] == 'CT' else 600)\n"
        "zarr_copy.write_image = crawl\n"
        "pickle.load(sys.stdin.buffer).to_zarr(sys.argv[1], workers=1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        process.stdin.write(pickle.dumps(dataset))
        process.stdin.close()
        brain = next(series.record for series in dataset if series.record.Modality == "MR").SeriesInstanceUID
        until = time.monotonic() + 60
        while not [path for path in folder.glob(f".{brain}.*.part/0") if path.exists()]:
            assert time.monotonic() < until
            time.sleep(0.05)
        with pytest.raises(InvalidRequest, match="being written"):
            dataset.to_zarr(folder)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    whole = {
        series.record.SeriesInstanceUID for series in dataset if (folder / series.record.SeriesInstanceUID).is_dir()
    }
    assert brain not in whole
    copy = dataset.to_zarr(folder)
    assert set(copy.written) == set(dataset.remaining) - whole
    assert sorted(read_all(folder)) == sorted(read_all(hot))
    voxels = {name: content for name, content in read_all(folder).items() if "/c/" in name}
    assert voxels == {name: content for name, content in read_all(hot).items() if "/c/" in name}


def test_a_folder_of_something_else_is_left_alone(dataset: FrozenDataset, tmp_path: Path, cohort: Cohort) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    other = Catalog(cohort.open_as(STELLA)).search(Modality="MR").freeze("brains")
    other.to_zarr(tmp_path / "other")
    for folder, told in ((tmp_path, "other files"), (tmp_path / "other", "another dataset")):
        with pytest.raises(InvalidRequest, match=told):
            dataset.to_zarr(folder)
    with pytest.raises(InvalidRequest, match="something else"):
        dataset.to_bids(tmp_path)
    assert (tmp_path / "thesis.doc").read_text() == "years of work"
    assert len(other.to_zarr(tmp_path / "other")) == 1


def test_what_is_no_image_is_skipped_with_the_reason(dataset: FrozenDataset, tmp_path: Path, cohort: Cohort) -> None:
    catalog = Catalog(cohort.open_as(STELLA))
    broken = catalog.search(SeriesInstanceUID=cohort.south_chest).freeze("broken")
    [path] = cohort.settings.files.rglob(f"{broken[0].instances[3].SOPInstanceUID}.dcm")
    content = path.read_bytes()
    path.write_bytes(content[:5000])
    try:
        copy = broken.to_zarr(tmp_path / "hot")
    finally:
        path.write_bytes(content)
    assert (len(copy), list(copy.skipped)) == (0, [cohort.south_chest])
    assert {path.name for path in (tmp_path / "hot").iterdir()} == {".lock", "zarr.json"}
    assert broken.to_zarr(tmp_path / "hot").written == (cohort.south_chest,)


def test_tiles_of_a_slide_are_not_stacked(dataset: FrozenDataset) -> None:
    record = dataset[0].record.model_copy(update={"SOPClassUID": VLWholeSlideMicroscopyImageStorage})
    with pytest.raises(InvalidVolume, match="whole slide"):
        FrozenSeries(dataset.store, record, dataset.id).open_arrays()


@pytest.mark.parametrize("lazily", [False, True])
def test_monai_loads_image_and_label_with_their_place(
    dataset: FrozenDataset, hot: Path, cohort: Cohort, *, lazily: bool
) -> None:
    items = dataset.to_monai(None if lazily else hot, only_labelled=True)
    assert [item["SeriesInstanceUID"] for item in items] == [cohort.north_chest, cohort.south_chest]
    load = LoadImaged(["image", "label"], reader=DatasetReader(dataset if lazily else None), ensure_channel_first=True)
    loaded = load(items[0])
    series = dataset[0]
    assert loaded["image"].shape == loaded["label"].shape == (1, 96, 96, 12)
    assert np.array_equal(loaded["image"][0].numpy().transpose(2, 1, 0), series.to_xarray().to_numpy())
    affine = np.diag([-1, -1, 1, 1]) @ np.array(series.to_xarray().attrs["affine_lps"])
    assert np.allclose(loaded["image"].affine, affine)
    assert torch.unique(loaded["label"]).tolist() == [0, 2]
    assert [("label" in item, item["Modality"]) for item in dataset.to_monai(hot)][1] == (False, "MR")


def test_reader_says_where_no_image_is(dataset: FrozenDataset, hot: Path) -> None:
    for reader, place in ((DatasetReader(), str(hot / "nothing")), (DatasetReader(dataset), "1.2.3")):
        with pytest.raises(NotFound, match=place):
            reader.read(place)
    assert DatasetReader().verify_suffix(str(hot / dataset.remaining[0]))
    assert not DatasetReader().verify_suffix("scan.nii.gz")


def test_torch_reads_the_copy_in_workers(dataset: FrozenDataset, hot: Path) -> None:
    items = dataset.to_torch(hot, only_labelled=True)
    [batch] = list(DataLoader(items, batch_size=2, num_workers=1))
    assert (batch["image"].shape, batch["image"].dtype) == ((2, 1, 12, 96, 96), torch.float32)
    assert (batch["label"].shape, batch["label"].dtype) == ((2, 1, 12, 96, 96), torch.int64)
    assert np.array_equal(batch["image"][1, 0].numpy(), dataset[2].to_xarray().to_numpy())
    assert batch["spacing_mm"].tolist() == [[3.0, 3.5, 3.5]] * 2


def test_torch_reads_from_the_catalog_in_another_process(dataset: FrozenDataset, hot: Path) -> None:
    copied, lazy = dataset.to_torch(hot), dataset.to_torch(transform=dict)
    sent = pickle.loads(pickle.dumps(lazy))  # noqa: S301  # as a DataLoader sends it
    assert len(sent) == len(copied) == 3
    for one, other in zip(sent, copied, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in ("image", "label", "spacing_mm") if key in one)


def test_bids_names_follow_what_the_headers_say() -> None:
    def kind(modality: str, description: str | None) -> tuple[str, str]:
        values = {"SeriesInstanceUID": "1", "StudyInstanceUID": "1", "PatientID": "1", "site": "n", "projects": ()}
        counts = {"n_instances": 1, "n_frames": 1, "size_bytes": 1, "received_at": datetime.now(UTC)}
        about = {"Modality": modality, "SOPClassUID": "1", "SeriesDescription": description}
        return find_kind(SeriesRecord(**values, **counts, **about))  # type: ignore[arg-type]

    assert kind("MR", "t2_tse_FLAIR ax") == ("anat", "FLAIR")
    assert kind("MR", "AX T1 MPRAGE") == ("anat", "T1w")
    assert kind("MR", "ep2d_diff_b1000") == ("dwi", "dwi")
    assert kind("MR", "resting state bold") == ("func", "bold")
    assert kind("MR", None) == ("anat", "MR")
    assert (kind("CT", "thorax"), kind("PT", "WB"), kind("NM", "bone")) == (
        ("ct", "ct"),
        ("pet", "pet"),
        ("other", "NM"),
    )


def test_bids_folder_holds_the_same_voxels_and_who_they_are_of(
    dataset: FrozenDataset, tmp_path: Path, cohort: Cohort
) -> None:
    export = dataset.to_bids(tmp_path / "bids")
    assert (len(export.files), export.skipped) == (3, {})
    for series in dataset:
        image = series.to_xarray()
        nifti = nib.load(export.folder / export.files[series.record.SeriesInstanceUID][0])
        assert nifti.get_data_dtype() == np.int16
        assert np.array_equal(np.asarray(nifti.dataobj).transpose(2, 1, 0), image.to_numpy())
        assert np.allclose(nifti.affine, np.diag([-1, -1, 1, 1]) @ np.array(image.attrs["affine_lps"]))
    assert export.files[cohort.north_chest] == ("sub-northctchest1/ses-01/ct/sub-northctchest1_ses-01_ct.nii.gz",)
    labels = export.folder / "derivatives" / "labels"
    label = nib.load(labels / "sub-northctchest1/ses-01/ct/sub-northctchest1_ses-01_desc-ct_dseg.nii.gz")
    assert np.unique(np.asarray(label.dataobj)).tolist() == [0, 2]
    assert (labels / "dseg.tsv").read_text() == "index\tname\n1\tlung\n2\tnodule\n"
    described = json.loads((export.folder / "dataset_description.json").read_text())
    assert (described["Name"], described["SourceDatasets"]) == ("all", [{"Version": dataset.id}])
    assert described["DatasetType"] == "raw"
    with (export.folder / "participants.tsv").open() as file:
        people = list(csv.DictReader(file, delimiter="\t"))
    assert people[0] == {"participant_id": "sub-northctchest1", "age": "61", "sex": "F", "site": "north"}
    sidecar = json.loads((export.folder / export.files[cohort.north_chest][0].replace(".nii.gz", ".json")).read_text())
    assert (sidecar["SeriesInstanceUID"], sidecar["Units"]) == (cohort.north_chest, "HU")
    before = {path: path.stat().st_mtime_ns for path in export.folder.rglob("*.nii.gz")}
    (export.folder / export.files[cohort.north_brain][0].replace(".nii.gz", ".json")).unlink()
    dataset.to_bids(tmp_path / "bids")
    after = {path: path.stat().st_mtime_ns for path in export.folder.rglob("*.nii.gz")}
    assert [path.name for path in after if after[path] != before[path]] == ["sub-northmrbrain3_ses-01_MR.nii.gz"]


@pytest.fixture
def shrinking(tmp_path: Path) -> tuple[Cohort, FrozenDataset]:
    cohort = make_cohort(tmp_path / "house")
    return cohort, Catalog(cohort.open_as(STELLA)).search(Modality="CT").freeze("both")


def test_what_was_withdrawn_goes_from_the_copies(shrinking: tuple[Cohort, FrozenDataset], tmp_path: Path) -> None:
    cohort, dataset = shrinking
    dataset.to_zarr(tmp_path / "hot")
    dataset.to_bids(tmp_path / "bids")
    with writing(open_engine(cohort.settings)) as connection:
        forget_rows(connection, Tombstone("north-ct-chest-1", "stella", "asked", datetime.now(UTC)))
    left = Catalog(cohort.open_as(STELLA)).dataset("both")
    copy = left.to_zarr(tmp_path / "hot")
    assert (list(copy), copy.removed) == ([cohort.south_chest], (cohort.north_chest,))
    assert list(left.to_bids(tmp_path / "bids").files) == [cohort.south_chest]
    names = [str(path) for folder in ("hot", "bids") for path in (tmp_path / folder).rglob("*")]
    assert not [name for name in names if cohort.north_chest in name or "north" in Path(name).name]
    assert left.to_monai(tmp_path / "hot")[0]["SeriesInstanceUID"] == cohort.south_chest


def test_the_guide_says_what_works(dataset: FrozenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (REPOSITORY / "docs" / "datasets.md").read_text()
    found: dict[str, Any] = {"catalog": Catalog(dataset.store)}
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", guide, re.DOTALL):
        exec(code, found)  # noqa: S102  # the guide's own lines
    assert found["dataset"].name == "lung-v1"
    assert found["outcome"].ok
    assert found["patch"].shape == (8, 32, 32)
    assert found["case"]["image"].shape == found["case"]["label"].shape == (1, 96, 96, 12)
    assert float(found["case"]["image"].min()) >= 0
    assert found["batch"]["label"].shape == (1, 1, 12, 96, 96)
    assert len(found["folder"].files) == 2
