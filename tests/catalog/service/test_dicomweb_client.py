"""Every method of dicomweb-client against the service, over a real connection."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless
from requests import HTTPError

from aurelius_catalog.access.person import Person
from support.cohort import admit
from support.derived import make_segmentation
from support.servers_dicomweb import LONG_UID, UNICODE, make_image, make_palette, make_pixels, temp_dicomweb

RHEA = Person.of("rhea", ["role-researcher", "site-north"])

pytestmark = pytest.mark.filterwarnings("ignore:The string .* is unlikely to represent:UserWarning")


@dataclass(frozen=True)
class Web:
    """A client, and what its service holds."""

    client: DICOMwebClient
    images: tuple[Dataset, ...]
    film: Dataset
    palette: Dataset

    @property
    def series(self) -> tuple[str, str]:
        return str(self.images[0].StudyInstanceUID), str(self.images[0].SeriesInstanceUID)

    @property
    def instance(self) -> tuple[str, str, str]:
        return (*self.series, str(self.images[1].SOPInstanceUID))

    @property
    def frames(self) -> tuple[str, str, str]:
        return str(self.film.StudyInstanceUID), str(self.film.SeriesInstanceUID), str(self.film.SOPInstanceUID)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    images = tuple(make_image("plain", number=number) for number in (1, 2, 3))
    for position, each in enumerate(images):
        each.SeriesInstanceUID, each.StudyDescription, each.SpecificCharacterSet = LONG_UID, UNICODE, "ISO_IR 192"
        each.FrameOfReferenceUID, each.PositionReferenceIndicator = f"{LONG_UID[:-1]}8", ""
        each.ImagePositionPatient, each.ImageOrientationPatient = [0, 0, 2 * position], [1, 0, 0, 0, 1, 0]
        each.PixelSpacing, each.SliceThickness = [1, 1], 2
        for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "StudyID", "AccessionNumber"):
            setattr(each, keyword, "")
        each.ReferringPhysicianName, each.Manufacturer = "", "Aurelius"
    film, palette = make_image("film", JPEGLSLossless, frames=20), make_palette("palette")
    home = tmp_path_factory.mktemp("house")
    admit([*images, film, palette], home)
    with temp_dicomweb(home, RHEA) as url:
        yield Web(DICOMwebClient(url), images, film, palette)


def check_pixels(found: list[Dataset], web: Web) -> None:
    assert [each.SOPInstanceUID for each in found] == [each.SOPInstanceUID for each in web.images]
    for each in found:
        assert each.StudyDescription == UNICODE
        assert np.array_equal(each.pixel_array, make_pixels(number=each.InstanceNumber)[0])


def check_studies(web: Web) -> None:
    found = [Dataset.from_json(each) for each in web.client.search_for_studies(fields=["PatientAge", "00081030"])]
    assert {each.PatientID for each in found} == {"AUR-PLAIN", "AUR-FILM", "AUR-PALETTE"}
    one = web.client.search_for_studies(search_filters={"PatientID": "AUR-PLAIN"})
    study = Dataset.from_json(one[0])
    assert (study.StudyDescription, study.NumberOfStudyRelatedInstances) == (UNICODE, 3)
    assert str(study.PatientName) == "AUR-PLAIN"
    assert web.client.search_for_studies(search_filters={"PatientName": "plain"}, fuzzymatching=True) == one
    assert web.client.search_for_studies(search_filters={"PatientID": "nobody"}) == []
    assert len(web.client.search_for_studies(limit=1, offset=1)) == 1
    assert len(web.client.search_for_studies(limit=1, get_remaining=True)) == 3


def check_series(web: Web) -> None:
    filters = {"Modality": "OT", "SeriesDescription": "pal*"}
    (found,) = map(Dataset.from_json, web.client.search_for_series(search_filters=filters, fields=["all"]))
    assert (found.SeriesInstanceUID, found.NumberOfSeriesRelatedInstances) == (web.palette.SeriesInstanceUID, 1)
    assert (found.Rows, found.PatientID) == (8, "AUR-PALETTE")
    (found,) = map(Dataset.from_json, web.client.search_for_series(web.series[0]))
    assert found.SeriesInstanceUID == LONG_UID
    assert found.RetrieveURL.endswith(f"/studies/{web.series[0]}/series/{LONG_UID}")


def check_instances(web: Web) -> None:
    assert len(web.client.search_for_instances()) >= 5
    for names in (web.series[:1], web.series):
        found = [Dataset.from_json(each) for each in web.client.search_for_instances(*names)]
        assert {each.SOPInstanceUID for each in found} == {each.SOPInstanceUID for each in web.images}
    (found_one,) = web.client.search_for_instances(search_filters={"SOPInstanceUID": web.instance[2]})
    assert Dataset.from_json(found_one).InstanceNumber == 2


def check_metadata(web: Web) -> None:
    one = web.client.retrieve_instance_metadata(*web.instance)
    listed = web.client.retrieve_series_metadata(*web.series)
    assert listed == web.client.retrieve_study_metadata(web.series[0])
    assert one == listed[1]
    header = Dataset.from_json(listed[1], lambda _: b"")
    assert (header.StudyDescription, header.SpecificCharacterSet) == (UNICODE, "ISO_IR 192")
    assert header.AvailableTransferSyntaxUID == web.images[1].file_meta.TransferSyntaxUID


def check_frames(web: Web) -> None:
    expected = make_pixels(20)
    native = web.client.retrieve_instance_frames(
        *web.frames, [20, 1], media_types=(("application/octet-stream", "1.2.840.10008.1.2.1"),)
    )
    assert native == [expected[19].tobytes(), expected[0].tobytes()]
    stored = web.client.retrieve_instance_frames(
        *web.frames, [1], media_types=(("image/jls", "1.2.840.10008.1.2.4.80"),)
    )
    assert stored[0][:2] == b"\xff\xd8"
    assert web.client.retrieve_instance_frames(*web.frames, [1]) == stored
    together = web.client.iter_instance_frames(
        *web.frames, list(range(1, 21)), media_types=("application/octet-stream",)
    )
    assert len(list(together)) == 20


def check_rendered(web: Web) -> None:
    for data in (
        web.client.retrieve_instance_rendered(*web.instance),
        web.client.retrieve_series_rendered(*web.series),
        web.client.retrieve_instance_frames_rendered(*web.frames, [3]),
    ):
        assert Image.open(BytesIO(data)).size == (10, 6)
    asked = {"window": "2048,4096,linear", "viewport": "5,3"}
    data = web.client.retrieve_instance_rendered(*web.instance, media_types=("image/png",), params=asked)
    small = Image.open(BytesIO(data))
    assert (small.format, small.size) == ("PNG", (5, 3))


def check_bulkdata(web: Web) -> None:
    names = web.palette.StudyInstanceUID, web.palette.SeriesInstanceUID, web.palette.SOPInstanceUID
    header = web.client.retrieve_instance_metadata(*names)
    for tag, keyword in (("00281201", "RedPaletteColorLookupTableData"), ("7FE00010", "PixelData")):
        url, value = header[tag]["BulkDataURI"], web.palette[keyword].value
        assert web.client.retrieve_bulkdata(url) == [value]
        assert list(web.client.iter_bulkdata(url)) == [value]
        assert web.client.retrieve_bulkdata(url, byte_range=(2, 5)) == [value[2:6]]
    film = web.client.retrieve_instance_metadata(*web.frames)
    assert len(web.client.retrieve_bulkdata(film["7FE00010"]["BulkDataURI"])) == 20  # compressed: a part each


def check_whole(web: Web) -> None:
    check_pixels(web.client.retrieve_series(*web.series), web)
    check_pixels(list(web.client.iter_series(*web.series)), web)
    check_pixels(web.client.retrieve_study(web.series[0])[:3], web)
    check_pixels(list(web.client.iter_study(web.series[0]))[:3], web)
    assert web.client.retrieve_instance(*web.instance).SOPInstanceUID == web.instance[2]
    plain = web.client.retrieve_instance(*web.frames, media_types=(("application/dicom", "1.2.840.10008.1.2.1"),))
    assert not plain.file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(plain.pixel_array, make_pixels(20))


def check_store(web: Web) -> None:
    sources: list[Dataset] = [dcmread(BytesIO(_write(each))) for each in web.images]
    sent = make_segmentation(sources)
    answer = web.client.store_instances([sent], study_instance_uid=web.series[0])
    (item,) = answer.ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == sent.SOPInstanceUID
    back = web.client.retrieve_instance(web.series[0], sent.SeriesInstanceUID, sent.SOPInstanceUID)
    assert back.PixelData == sent.PixelData


def check_delete(web: Web) -> None:
    """Images leave the house by a withdrawal only."""
    for delete, names in (
        (web.client.delete_study, web.series[:1]),
        (web.client.delete_series, web.series),
        (web.client.delete_instance, web.instance),
    ):
        with pytest.raises(HTTPError) as caught:
            delete(*names)
        assert caught.value.response is not None
        assert caught.value.response.status_code == 405
    assert len(web.client.retrieve_series(*web.series)) == 3


def check_options(web: Web) -> None:
    assert DICOMwebClient.lookup_keyword("00080060") == "Modality"
    assert DICOMwebClient.lookup_tag("Modality") == "00080060"
    client = DICOMwebClient(web.client.base_url)
    client.set_chunk_size(10_000)
    client.set_http_retry_params(retry=False)
    assert len(list(client.iter_series(*web.series))) == 3


METHODS: dict[str, Callable[[Web], None]] = {
    "delete_instance": check_delete,
    "delete_series": check_delete,
    "delete_study": check_delete,
    "iter_bulkdata": check_bulkdata,
    "iter_instance_frames": check_frames,
    "iter_series": check_whole,
    "iter_study": check_whole,
    "lookup_keyword": check_options,
    "lookup_tag": check_options,
    "retrieve_bulkdata": check_bulkdata,
    "retrieve_instance": check_whole,
    "retrieve_instance_frames": check_frames,
    "retrieve_instance_frames_rendered": check_rendered,
    "retrieve_instance_metadata": check_metadata,
    "retrieve_instance_rendered": check_rendered,
    "retrieve_series": check_whole,
    "retrieve_series_metadata": check_metadata,
    "retrieve_series_rendered": check_rendered,
    "retrieve_study": check_whole,
    "retrieve_study_metadata": check_metadata,
    "search_for_instances": check_instances,
    "search_for_series": check_series,
    "search_for_studies": check_studies,
    "set_chunk_size": check_options,
    "set_http_retry_params": check_options,
    "store_instances": check_store,
}


def test_every_method_of_the_client_is_tried() -> None:
    methods = {name for name, _ in inspect.getmembers(DICOMwebClient, inspect.isfunction) if not name.startswith("_")}
    assert methods == set(METHODS)


@pytest.mark.parametrize(
    "check", dict.fromkeys(METHODS.values()), ids=lambda check: check.__name__.removeprefix("check_")
)
def test_client(web: Web, check: Callable[[Web], None]) -> None:
    # Stored results are another series of the study: what looks at the whole of it comes first.
    check(web)


def _write(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
