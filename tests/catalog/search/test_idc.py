"""The index of a public archive with the very columns, types and gaps of the Imaging Data Commons' own (version 25)."""

from __future__ import annotations

import duckdb
import pytest

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.settings import CatalogSettings
from support.cohort import make_cohort

STELLA = Person.of("stella", ["role-steward"])
SIZE = 21_000
#: Columns in their order, with what row ``i`` holds.
COLUMNS = {
    "collection_id": "CASE WHEN i < 20 THEN 'kits' ELSE 'nlst' END",
    "analysis_result_id": "CASE WHEN i % 4 = 3 THEN 'totalsegmentator' END",
    "PatientID": "'P-' || i // 4",
    "SeriesInstanceUID": "CASE WHEN i = 5 THEN '{uid}' ELSE '1.2.' || i END",
    "StudyInstanceUID": "'1.3.' || i // 4",
    "source_DOI": "'10.7937/x'",
    "PatientAge": "'061Y'",
    "PatientSex": "'F'",
    "StudyDate": "CASE WHEN i >= 4 THEN '2001-02-03' END",
    "StudyDescription": "'Lung screening'",
    "BodyPartExamined": "'CHEST'",
    "Modality": "CASE WHEN i % 4 = 3 THEN 'SEG' ELSE 'CT' END",
    "SOPClassUID": "'1.2.840.10008.5.1.4.1.1.2'",
    "sop_class_name": "'CT Image Storage'",
    "TransferSyntaxUID": "'1.2.840.10008.1.2.1'",
    "transfer_syntax_name": "'Explicit VR Little Endian'",
    "PhotometricInterpretation": "'MONOCHROME2'",
    "PixelRepresentation": "'1'",
    "Manufacturer": "'GE'",
    "ManufacturerModelName": "'X'",
    "SeriesDate": "'2001-02-03'",
    "SeriesDescription": "'thin'",
    "SeriesNumber": "CASE i % 4 WHEN 0 THEN '2' WHEN 1 THEN '300' WHEN 2 THEN '99999999999' END",
    "instanceCount": "CAST(120 AS BIGINT)",
    "license_short_name": "'CC BY 4.0'",
    "series_init_idc_version": "CAST(2 AS BIGINT)",
    "series_revised_idc_version": "CAST(2 AS BIGINT)",
    "aws_bucket": "'open-data'",
    "crdc_series_uuid": "'uuid-' || i",
    "series_aws_url": "'s3://open-data/uuid-' || i || '/*'",
    "series_size_MB": "CAST(26.4 AS DOUBLE)",
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    home = tmp_path_factory.mktemp("house")
    cohort = make_cohort(home)
    file = home / "idc_index.parquet"
    listed = ", ".join(f"{value} AS {name}" for name, value in COLUMNS.items()).format(uid=cohort.north_chest)
    duckdb.sql(f"COPY (SELECT {listed} FROM range({SIZE}) t(i)) TO '{file}' (FORMAT parquet)")  # noqa: S608
    return Catalog(LocalStore(CatalogSettings(home=home, idc_index=file), STELLA))


def test_numbers_that_the_archive_keeps_as_texts_are_numbers(catalog: Catalog) -> None:
    found = catalog.search(source="idc", CollectionID="kits", SeriesNumber=(1, 300)).df
    assert found["SeriesNumber"].tolist() == [2, 300] * 5
    assert len(catalog.search(source="idc", CollectionID="kits", SeriesNumber=None)) == 10  # none, or none of a number


def test_what_the_archive_says_of_objects_and_results_is_asked(catalog: Catalog) -> None:
    asked = catalog.search(source="idc", AnalysisResultID="total*", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    assert len(asked) == SIZE // 4
    assert asked.facets("Modality").to_dict() == {"SEG": SIZE // 4}
    found = catalog.search(source="idc", CollectionID="kits", StudyDate=None).df
    assert found["aws_url"].tolist() == [f"s3://open-data/uuid-{number}/*" for number in range(4)]
    with pytest.raises(InvalidRequest, match="did you mean Modality"):
        asked.facets("Modalty")


@pytest.mark.parametrize("part", [{"CollectionID": "kits"}, {}], ids=["few", "many"])
def test_what_is_here_too_is_known(catalog: Catalog, part: dict[str, str]) -> None:
    found = catalog.search(source="idc", **part).df
    assert len(found) == (20 if part else SIZE)
    assert found.index[found["in_house"]].tolist() == [5]


def test_a_whole_archive_is_counted_not_fetched(catalog: Catalog) -> None:
    shown = catalog.search(source="idc")._repr_html_()
    assert f"<b>{SIZE:,} series</b>" in shown
    assert "<table" not in shown
    assert "<table" in catalog.search(source="idc", CollectionID="kits")._repr_html_()
