"""Where voxels lie in the patient: as dcm2niix and ITK say, on every series of the shared data that says so."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from support.cohort import admit

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TOLERANCE_MM = 1e-3
#: Images, of the shared data's folders, that dcm2niix 1.0.2022 cannot read: encodings it was built without.
UNREAD = ("mr-siemens-jpeg2000", "MR2_J2KI", "jpeg_ls")
#: ITK makes the cosines of this one orthonormal, which moves its corners by 2 µm; dcm2niix does not.
ROUNDED = "pm-example-slice"
Affine = NDArray[np.float64]
Corners = NDArray[np.float64]


def find_corners(affine: Affine, size: Sequence[int]) -> Corners:
    """Return where the outermost voxels of a volume lie: ``(8, 3)``."""
    ends = np.array(np.meshgrid(*[(0, number - 1) for number in size], indexing="ij")).reshape(3, -1)
    return (affine @ np.vstack([ends, np.ones(8)]))[:3].T


def measure_distance(corners: Corners, others: Corners) -> float:
    """Return how far corners are from the nearest of the others in mm, whatever the order they come in."""
    between = np.linalg.norm(corners[:, None] - others[None], axis=2)
    return float(max(between.min(axis=0).max(), between.min(axis=1).max()))


def convert(folder: Path, out: Path) -> list[Corners]:
    """Return the corners of every volume dcm2niix makes of a folder, in patient LPS."""
    out.mkdir()
    subprocess.run(["dcm2niix", "-o", out, "-f", "%s_%t", "-b", "n", folder], check=False, capture_output=True)
    images = [nibabel.load(path) for path in out.glob("*.nii") if "_Tilt" not in path.name]  # those are resampled
    return [find_corners(LPS_TO_RAS @ image.affine, image.shape[:3]) for image in images]


def read_with_itk(folder: Path) -> Corners:
    """Return the corners of the series in a folder as ITK's reader places it, in patient LPS."""
    names = itk.GDCMSeriesFileNames.New(Directory=str(folder))
    names.SetUseSeriesDetails(False)
    files = names.GetFileNames(names.GetSeriesUIDs()[0])
    reader = itk.ImageSeriesReader[itk.Image[itk.F, 3]].New(FileNames=files)
    reader.SetImageIO(itk.GDCMImageIO.New())
    reader.ForceOrthogonalDirectionOff()
    reader.UpdateOutputInformation()
    image = reader.GetOutput()
    affine = np.eye(4)
    affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) @ np.diag(list(image.GetSpacing()))
    affine[:3, 3] = list(image.GetOrigin())
    return find_corners(affine, list(image.GetLargestPossibleRegion().GetSize()))


def list_series(data: Path) -> dict[str, list[Path]]:
    """Return the files of every image series that says where it lies, under the name of one of them."""
    found: dict[str, list[Path]] = defaultdict(list)
    taken: set[str] = set()
    for path in sorted(path for path in data.glob("*/*") if path.is_file()):
        try:
            header = dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError, ValueError):
            continue
        if not says_where_it_is(header) or header.SOPInstanceUID in taken or "MOSAIC" in header.get("ImageType", ""):
            continue
        taken.add(header.SOPInstanceUID)
        found[str(header.SeriesInstanceUID)].append(path)
    return {f"{paths[0].parent.name}/{paths[0].stem}": paths for paths in found.values()}


def says_where_it_is(header: Dataset) -> bool:
    if (
        header.get("Modality") in ("RTDOSE", "SEG", "SM")
        or not header.get("Rows")
        or not header.get("SeriesInstanceUID")
    ):
        return False
    if not header.SOPInstanceUID.is_valid:  # pydicom would not write it again
        return False
    shared = header.get("SharedFunctionalGroupsSequence")
    frame = header.get("PerFrameFunctionalGroupsSequence")
    placed = "ImagePositionPatient" in header or (frame and "PlanePositionSequence" in frame[0])
    return bool(placed and ("PixelSpacing" in header or shared or frame))


def test_corners_are_where_dcm2niix_and_itk_put_them(data: Path, tmp_path: Path) -> None:
    listed = list_series(data)
    assert len(listed) >= 14, sorted(listed)
    compared = {"dcm2niix": 0, "itk": 0}
    sources = {name: [dcmread(path) for path in paths] for name, paths in listed.items()}
    house = {each.record.SeriesInstanceUID: each for each in admit([*chain(*sources.values())], tmp_path / "house")}
    for name, paths in listed.items():
        series = house[sources[name][0].SeriesInstanceUID]
        for part, image in enumerate(series.volumes(allow_shear=True)):
            folder = tmp_path / name / str(part)
            write_part(sources[name], paths, image, folder)
            size = [image.sizes[axis] for axis in "xyz"]
            affine = np.array(image.attrs["affine_lps"])
            corners = find_corners(affine, size)
            theirs = convert(folder, tmp_path / name / f"nii{part}")
            assert theirs or any(each in str(paths[0]) for each in UNREAD), name
            if "gantry_tilt_degrees" not in image.attrs:  # of those, dcm2niix's affine holds for resampled slices only
                for other in theirs:
                    assert measure_distance(corners, other) < TOLERANCE_MM, f"{name}: dcm2niix"
                    compared["dcm2niix"] += 1
            if image.dims == ("z", "y", "x") and "parametric" not in name:  # ITK's reader knows one volume a series
                tolerance = 2 * TOLERANCE_MM if ROUNDED in name else TOLERANCE_MM
                assert measure_distance(corners, read_with_itk(folder)) < tolerance, f"{name}: ITK"
                compared["itk"] += 1
    assert compared["dcm2niix"] >= 14
    assert compared["itk"] >= 14


def write_part(sources: Sequence[Dataset], paths: Sequence[Path], image: xr.DataArray, folder: Path) -> None:
    """Copy the files whose slices a volume has: what tells parts of a series apart is that they lie apart."""
    folder.mkdir(parents=True)
    affine = np.array(image.attrs["affine_lps"])
    places = (affine @ np.array([[0, 0, z, 1] for z in range(image.sizes["z"])]).T)[:3].T
    for source, path in zip(sources, paths, strict=True):
        position = source.get("ImagePositionPatient")
        if position is None or np.linalg.norm(places - np.array(position, float), axis=1).min() < 0.02:
            shutil.copy(path, folder / f"{path.stem}.dcm")


def test_a_tilted_gantry_with_two_spacings_is_said_not_stacked(data: Path, tmp_path: Path) -> None:
    (series,) = admit([dcmread(path) for path in sorted((data / "ct-ge").glob("*.dcm"))], tmp_path / "house")
    with pytest.raises(Exception, match=r"more than one volume, 2 of them: slices are missing or unevenly spaced"):
        series.to_xarray()
    with pytest.raises(Exception, match=r"gantry tilted by 18\.5°.*allow_shear=True"):
        series.volumes()
    parts = series.volumes(allow_shear=True)
    assert [part.sizes["z"] for part in parts] == [14, 14]
    assert [part.attrs["gantry_tilt_degrees"] for part in parts] == pytest.approx([18.5, 18.5], abs=0.01)


def test_a_mosaic_has_no_place(data: Path, tmp_path: Path) -> None:
    (series,) = admit([dcmread(data / "transfer-syntaxes" / "In_1.dcm")], tmp_path / "house")
    image = series.to_xarray()
    assert image.dims == ("frame", "y", "x")
    assert "affine_lps" not in image.attrs
    assert "side by side" in image.attrs["mosaic"]
