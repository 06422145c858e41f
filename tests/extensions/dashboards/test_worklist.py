"""The worklist itself: what it writes into the page, and what it does with whatever a page sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurelius_catalog import Catalog, DecisionAction
from aurelius_catalog.access.person import Person
from aurelius_catalog.records import SeriesRecord, WorklistRow
from aurelius_extensions.dashboards.worklist import Worklist
from aurelius_extensions.dashboards.worklist.markup import compare_volumes, format_volume, render_case, render_list
from support.servers_dashboards import Findings, make_findings


@pytest.fixture
def findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Findings:
    made = make_findings(tmp_path / "house")
    monkeypatch.setenv("AURELIUS_HOME", str(made.settings.home))
    return made


def open_worklist(findings: Findings, name: str) -> Worklist:
    worklist = Worklist()
    worklist.fill(Catalog(findings.open_as(name)))
    return worklist


def send(worklist: Worklist, **content: object) -> None:
    """Do what a page does: send a message over the widget's comm."""
    worklist._handle_custom_msg(content, [])


def test_selecting_shows_the_finding_and_decisions_change_the_row_at_once(findings: Findings) -> None:
    worklist = open_worklist(findings, "nora")
    send(worklist, do="select", prediction=findings.north_brain)
    assert "Brain lesion" in worklist.case_html
    assert 'href="/services/catalog/ohif/viewer?StudyInstanceUIDs=' in worklist.case_html
    assert "Accept" in worklist.case_html
    send(worklist, do="accept", prediction=findings.north_brain)
    assert "Accepted by <strong>nora</strong>" in worklist.case_html
    assert "<b>1</b> to review · 1 done" in worklist.list_html
    assert worklist.next_up == findings.north_chest


def test_override_without_a_reason_is_refused_in_words(findings: Findings) -> None:
    worklist = open_worklist(findings, "nora")
    send(worklist, do="override", prediction=findings.north_brain, reason=" ")
    assert "why the finding is overridden" in worklist.notice
    assert all(row.decision is None for row in findings.open_as("nora").list_worklist())


def test_what_the_page_hides_the_store_refuses(findings: Findings) -> None:
    researcher = open_worklist(findings, "rhea")
    send(researcher, do="select", prediction=findings.north_chest)
    assert "Accept" not in researcher.case_html
    send(researcher, do="accept", prediction=findings.north_chest)
    assert "may not decide" in researcher.notice

    other_site = open_worklist(findings, "sid")
    send(other_site, do="accept", prediction=findings.north_chest)
    assert other_site.notice
    send(other_site, do="select", prediction=findings.north_chest)
    assert "north" not in other_site.case_html + other_site.list_html
    assert all(row.decision is None for row in findings.open_as("nora").list_worklist())


@pytest.mark.parametrize("content", [{}, {"do": "fill"}, {"do": "accept", "prediction": "x"}, {"do": ["select"]}])
def test_nonsense_from_the_page_is_ignored(findings: Findings, content: dict[str, object]) -> None:
    worklist = open_worklist(findings, "nora")
    before = worklist.get_state()
    send(worklist, **content)
    assert worklist.get_state() == before


def test_other_study_of_the_patient_is_named_with_the_change(findings: Findings) -> None:
    rows = findings.open_as("nora").list_worklist()
    assert "No other study of this patient" in render_case(rows[0], [], Person.of("nora", []), "Axial")
    assert compare_volumes(130, 100) == "+30 % since then"
    assert compare_volumes(100, 100) == "unchanged since then"
    assert compare_volumes(5, 0) == "new since then"


def test_text_from_the_catalog_is_text(findings: Findings) -> None:
    row = findings.open_as("nora").list_worklist()[0]
    series = SeriesRecord(**{**row.series.model_dump(), "StudyDescription": "<script>alert(1)</script>"})
    hostile = WorklistRow(prediction=row.prediction, series=series)
    nora = Person.of("nora", ["role-clinician", "site-north"])
    for html in (render_list([hostile], nora, 0), render_case(hostile, [], nora, "Axial")):
        assert "<script>" not in html
        assert "&lt;script&gt;" in html


def test_empty_list_says_why(findings: Findings) -> None:
    assert "your site&#39;s studies" in render_list([], Person.of("nora", ["site-north"]), 0)
    assert "no site and no project" in render_list([], Person.of("cora", ["role-clinician"]), 0)


def test_volumes_are_written_in_the_unit_they_are_spoken_of() -> None:
    assert format_volume(412.4) == "412 mm³"
    assert format_volume(2090) == "2.09 ml"


def test_decision_is_stored_with_the_name_and_the_reason(findings: Findings) -> None:
    worklist = open_worklist(findings, "nora")
    send(worklist, do="override", prediction=findings.north_chest, reason="Vessel")
    row = next(r for r in findings.open_as("nora").list_worklist() if r.prediction.id == findings.north_chest)
    assert row.decision is not None
    assert (row.decision.person, row.decision.action, row.decision.comment) == (
        "nora",
        DecisionAction.OVERRIDE,
        "Vessel",
    )
    assert not row.prediction.requires_review
