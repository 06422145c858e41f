"""What is read from a report notebook, and what is refused before it runs."""

from pathlib import Path

import nbformat
import pytest

from aurelius_catalog.errors import InvalidRequest, NotFound
from aurelius_extensions.errors import ReportInvalid
from aurelius_extensions.reports.library import Library, read_report
from aurelius_extensions.reports.redaction import REMOVED, list_secrets, redact_text
from aurelius_extensions.settings import NOTEBOOKS
from support.servers_reports import write_report

PARAMETERS = """dataset = "lung"  # name of a dataset
threshold = 0.5
count: int = 3
strict = True"""


def test_title_description_and_parameters(tmp_path: Path) -> None:
    report = read_report(write_report(tmp_path, "volumes", PARAMETERS, [], title="Volumes"))
    assert (report.name, report.title, report.description) == ("volumes", "Volumes", "What it is about.")
    assert [(each.name, each.type, each.default) for each in report.parameters] == [
        ("dataset", "str", "lung"),
        ("threshold", "float", 0.5),
        ("count", "int", 3),
        ("strict", "bool", True),
    ]
    assert report.parameters[0].help == "name of a dataset"


def test_values_are_read_in_the_type_of_the_parameter(tmp_path: Path) -> None:
    report = read_report(write_report(tmp_path, "volumes", PARAMETERS, []))
    given = {"threshold": "0.25", "count": "7", "strict": "False"}
    assert report.read_parameters(given) == {"dataset": "lung", "threshold": 0.25, "count": 7, "strict": False}
    assert report.read_parameters({"dataset": '"); import os #'})["dataset"] == '"); import os #'


@pytest.mark.parametrize(
    "given",
    [{"count": "many"}, {"count": 1.5}, {"count": True}, {"threshold": ""}, {"strict": "perhaps"}, {"dataset": 1}],
)
def test_a_value_of_another_type_is_refused(tmp_path: Path, given: dict[str, object]) -> None:
    report = read_report(write_report(tmp_path, "volumes", PARAMETERS, []))
    with pytest.raises(InvalidRequest, match=next(iter(given))):
        report.read_parameters(given)


def test_an_unknown_parameter_is_refused_with_a_hint(tmp_path: Path) -> None:
    report = read_report(write_report(tmp_path, "volumes", PARAMETERS, []))
    with pytest.raises(InvalidRequest, match="did you mean dataset"):
        report.read_parameters({"datasett": "x"})


@pytest.mark.parametrize("name", ["absent", "../reports/volumes", ""])
def test_an_unknown_report_is_refused(tmp_path: Path, name: str) -> None:
    write_report(tmp_path, "volumes", PARAMETERS, [])
    with pytest.raises(NotFound, match="volumes"):
        Library(tmp_path / "reports").get_report(name)


def test_unusable_notebooks_do_not_hide_the_others(tmp_path: Path) -> None:
    write_report(tmp_path, "volumes", PARAMETERS, [])
    write_report(tmp_path, "computed", "dataset = str(1)", [])
    (tmp_path / "reports" / "broken.ipynb").write_text("not json")
    untagged = write_report(tmp_path, "untagged", "", [])
    notebook = nbformat.read(untagged, as_version=4)
    del notebook.cells[1]
    nbformat.write(notebook, untagged)
    library = Library(tmp_path / "reports")
    assert [report.name for report in library.list_reports()] == ["volumes"]
    for name in ("broken", "untagged", "computed"):
        with pytest.raises(ReportInvalid, match=name):
            library.get_report(name)


def test_the_reports_of_the_house_are_readable_and_hold_no_output() -> None:
    reports = Library(NOTEBOOKS / "reports").list_reports()
    assert "segmentation-volumes" in [report.name for report in reports]
    assert len(reports) == len(list((NOTEBOOKS / "reports").glob("*.ipynb")))
    for report in reports:
        cells = nbformat.read(report.path, as_version=4).cells
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_secrets_of_the_environment_are_taken_out_of_a_text() -> None:
    environment = {
        "JUPYTERHUB_API_TOKEN": "0123456789abcdef",
        "AURELIUS_DATABASE_URL": "postgresql://aurelius:hidden-word@db/catalog",
        "LANG": "C.UTF-8-long",
    }
    text = "0123456789abcdef postgresql://aurelius:hidden-word@db/catalog hidden-word C.UTF-8-long"
    assert redact_text(text, list_secrets(environment)) == f"{REMOVED} {REMOVED} {REMOVED} C.UTF-8-long"
