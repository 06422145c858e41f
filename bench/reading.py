"""Opening volumes through the catalog against pydicom, ITK, highdicom and raw reading of the same bytes."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import highdicom
import imagecodecs
import itk
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000Lossless, generate_uid

from aurelius_catalog import Catalog
from aurelius_catalog.dicom.frame_locations import decode_frame
from bench.intake import find_data
from bench.result import ROOT, Result, compare
from support.cohort import admit, make_slice

ROUNDS = 9
SHAPE = (300, 512, 512)
COMPRESSED = (60, 512, 512)
FRAMES = 4000
Way = Callable[[], Any]


@dataclass(frozen=True)
class Stored:
    """A series in a catalog of its own, and where its files lie."""

    catalog: Catalog
    SeriesInstanceUID: str
    paths: list[Path]

    def open(self, dtype: str | None) -> Any:
        """Open it as a person does: ask the index, leave a record, read every voxel."""
        return self.catalog.series(self.SeriesInstanceUID).to_xarray(dtype=dtype).load()


@contextmanager
def store(sources: list[Dataset]) -> Iterator[Stored]:
    """Let a series into a catalog of its own."""
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        (series,) = admit(sources, Path(folder))
        files = Path(folder) / "catalog" / "files"
        paths = [files / instance.path for instance in series.instances]
        yield Stored(Catalog(series._store), series.record.SeriesInstanceUID, paths)


def make_ct(shape: tuple[int, int, int]) -> list[Dataset]:
    """Make a CT of smooth shapes with noise, as compressible as a scanner's, with the shortest of headers."""
    generator = np.random.default_rng(1)
    rows, columns = np.mgrid[: shape[1], : shape[2]] / shape[1]
    study, series, frame = (generate_uid() for _ in range(3))
    made = []
    for number in range(shape[0]):
        body = np.hypot(rows - 0.5, columns - 0.5 + 0.1 * np.sin(number / 30)) < 0.4
        pixels = np.where(body, 1060, 24) + generator.normal(0, 12, shape[1:])
        dataset = make_slice("ct-chest", number, pixels.astype(np.int16), (1.0, 0.7, 0.7))
        dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "bench", study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.RescaleIntercept, dataset.FrameOfReferenceUID = "-1024", frame
        made.append(dataset)
    return made


def compress(dataset: Dataset) -> Dataset:
    """Turn an image into lossless JPEG 2000."""
    dataset.PixelData = encapsulate([imagecodecs.jpeg2k_encode(dataset.pixel_array, level=0, codecformat="j2k")])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    return dataset


def read_with_itk(paths: list[Path], kind: Any) -> Any:
    """Open with ITK: sort the files of the folder, read them with GDCM."""
    names = itk.GDCMSeriesFileNames.New(Directory=str(paths[0].parent))
    names.SetUseSeriesDetails(False)
    reader = itk.ImageSeriesReader[itk.Image[kind, 3]].New(FileNames=names.GetFileNames(names.GetSeriesUIDs()[0]))
    reader.SetImageIO(itk.GDCMImageIO.New())
    reader.Update()
    return itk.array_view_from_image(reader.GetOutput())


def read_with_pydicom(paths: list[Path], *, rescaled: bool) -> Any:
    """Open with pydicom: read, sort, stack."""
    found = sorted(map(dcmread, paths), key=lambda each: float(each.ImagePositionPatient[2]))
    stored = np.stack([each.pixel_array for each in found])
    if not rescaled:
        return stored
    return stored * np.float32(found[0].get("RescaleSlope", 1)) + np.float32(found[0].get("RescaleIntercept", 0))


def read_with_highdicom(paths: list[Path], *, rescaled: bool) -> Any:
    """Open with highdicom."""
    dtype, transform = (np.float32, None) if rescaled else (np.int16, False)  # None: where there is one
    return highdicom.get_volume_from_series([*map(dcmread, paths)], apply_modality_transform=transform, dtype=dtype)


def read_bytes(paths: list[Path]) -> Any:
    """Read the files and do nothing with them."""
    return [path.read_bytes() for path in paths]


def read_compressed_with_pydicom(paths: list[Path]) -> Any:
    """Read with pydicom, decode with pylibjpeg's OpenJPEG on two threads."""

    def decode(path: Path) -> Any:
        return get_decoder(JPEG2000Lossless).as_array(dcmread(path), decoding_plugin="pylibjpeg")[0]

    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(decode, paths)))


def time_ways(ways: dict[str, Way], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Time ways in turn, after one go each that nobody counts; prints their medians in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            held = way()
            took = time.perf_counter() - start
            del held
            if number:
                times[name].append(took)
    for name, samples in times.items():
        print(f"  {name}: {statistics.median(samples) * 1000:.1f} ms, best {min(samples) * 1000:.1f} ms")
    return times


def measure_ct(name: str, *, rescaled: bool) -> Result:
    """Open the generated CT, and the real one of GE, in every way."""
    warnings.simplefilter("ignore")
    kind = itk.F if rescaled else itk.SS
    ways: dict[str, Callable[[Stored], Any]] = {
        "ours": lambda stored: stored.open(None if rescaled else "stored"),
        "ITK": lambda stored: read_with_itk(stored.paths, kind),
        "pydicom": lambda stored: read_with_pydicom(stored.paths, rescaled=rescaled),
        "highdicom": lambda stored: read_with_highdicom(stored.paths, rescaled=rescaled),
        "bytes": lambda stored: read_bytes(stored.paths),
    }
    real = [dcmread(path) for path in sorted((find_data() / "mr-siemens-sagittal").glob("*.dcm"))]
    if real:
        with store(real) as stored:
            print(f" {len(real)} slices of {real[0].Rows} × {real[0].Columns}, MR")
            time_ways({each: partial(way, stored) for each, way in ways.items()})
    with store(make_ct(SHAPE)) as stored:
        print(f" {SHAPE[0]} slices of {SHAPE[1]} × {SHAPE[2]}, CT")
        times = time_ways({each: partial(way, stored) for each, way in ways.items()})
    return compare(name, times["ours"], times["ITK"], "ITK with GDCM")


def measure_compressed() -> Result:
    """Open a JPEG 2000 series against pydicom with the same decoder, both on two threads."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with store([compress(each) for each in make_ct(COMPRESSED)]) as stored:
        ways = {
            "ours": partial(stored.open, "stored"),
            "pydicom": partial(read_compressed_with_pydicom, stored.paths),
            "ITK": partial(read_with_itk, stored.paths, itk.SS),
        }
        times = time_ways(ways)
    return compare("open_compressed", times["ours"], times["pydicom"], "pydicom with OpenJPEG, two threads")


def measure_frame() -> Result:
    """Read and decode one frame after the other, anywhere in a series that is open; what 99 of 100 take at most."""
    with store(make_ct(SHAPE)) as stored:
        series = stored.catalog.series(stored.SeriesInstanceUID)
        instances, source = series.instances, stored.catalog.store
        order = np.random.default_rng(2).integers(0, len(instances), FRAMES)

        def read_ours(number: int) -> Any:
            return decode_frame(source.read_frame(instances[number], 0), instances[number])

        def read_pydicom(number: int) -> Any:
            return dcmread(stored.paths[number]).pixel_array

        ours = [_time_once(partial(read_ours, number)) for number in order]
        peer = [_time_once(partial(read_pydicom, number)) for number in order[: FRAMES // 10]]
    for name, samples in (("ours", ours), ("pydicom", peer)):
        print(f"  {name}: median {statistics.median(samples):.3f} ms, p99 {np.percentile(samples, 99):.3f} ms")
    tail = [float(np.percentile(part, 99)) for part in np.array_split(ours, 4)]
    return compare("frame_local_p99", tail, [float(np.percentile(peer, 99))], "pydicom, p99", "ms")


def _time_once(way: Way) -> float:
    start = time.perf_counter()
    way()
    return (time.perf_counter() - start) * 1000


BENCHMARKS = {
    "open_ct_stored": partial(measure_ct, "open_ct_stored", rescaled=False),
    "open_ct_float32": partial(measure_ct, "open_ct_float32", rescaled=True),
    "open_compressed": measure_compressed,
    "frame_local_p99": measure_frame,
}
