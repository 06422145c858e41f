"""The guides run as their reader runs them: in an Aurelius kernel, on a real catalog, with the reader's rights."""

from __future__ import annotations

import base64
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import nbformat
import nibabel as nib
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.records import Segment
from aurelius_hub.ports import find_free_ports
from support.cohort import SLICES, Cohort, add_phantom, make_cohort
from support.servers_catalog import REPOSITORY, Hub, managed_service, temp_hub, wait_until

WHOLE = slice(None)
LABELLED, UNLABELLED = (102, 103, 106), 101  # chests with nodules large enough to learn from, and one to find some in
GUIDES = sorted((REPOSITORY / "notebooks" / "guides").glob("*.ipynb"))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    made = make_cohort(tmp_path_factory.mktemp("house"))
    anton = made.open_as(Person.of("anton", ["role-annotator", "project-lung"]))

    def draw(series: str, seed: int, slices: slice) -> None:
        truth = np.ascontiguousarray(make_phantom("ct-chest", seed).truth[slices])
        anton.add_annotation(series, truth, [Segment(number=1, label="nodule")], origin="slicer")

    draw(made.north_chest, 1, SLICES)
    draw(made.south_chest, 2, SLICES)
    for seed in LABELLED:
        draw(add_phantom(made.settings, "north", "ct-chest", seed, WHOLE), seed, WHOLE)
    add_phantom(made.settings, "north", "ct-chest", UNLABELLED, WHOLE)
    return made


@pytest.fixture(scope="module")
def hub(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    command = [sys.executable, "-m", "aurelius_catalog.service"]
    service = managed_service("catalog", command, {"AURELIUS_HOME": str(cohort.settings.home)}, find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service]) as running:
        yield running


@pytest.fixture
def kernel_environment(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the hub gives to rhea's notebook server and so to her kernels; and leave no way out of the house."""
    monkeypatch.setenv("AURELIUS_CATALOG_URL", f"{hub.url}/services/catalog")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", hub.make_token("rhea"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there


def run(book: nbformat.NotebookNode, folder: Path) -> NotebookClient:
    client = NotebookClient(book, kernel_name=book.metadata.kernelspec.name, timeout=180, resources={})
    client.resources["metadata"] = {"path": str(folder)}
    client.execute()
    return client


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_guide_is_kept_without_output(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs"), cell.source
        assert cell.get("execution_count") is None


@pytest.mark.usefixtures("kernel_environment")
def test_model_trained_on_the_frozen_dataset_finds_the_nodule(cohort: Cohort, tmp_path: Path) -> None:
    run(nbformat.read(REPOSITORY / "notebooks/guides/02-train-on-a-frozen-dataset.ipynb", as_version=4), tmp_path)
    catalog = Catalog(cohort.open_as(Person.service("test")))
    prediction = catalog.store.list_predictions()[-1]
    assert prediction.requires_review
    assert prediction.model == f"guide-unet on {catalog.dataset('nodules').id[:12]}"
    assert catalog.series(prediction.SeriesInstanceUID).record.PatientID == f"north-ct-chest-{UNLABELLED}"
    found, truth = catalog.prediction_labelmap(prediction), make_phantom("ct-chest", UNLABELLED).truth
    assert found is not None
    assert 2 * (found.to_numpy() & truth).sum() / (found.to_numpy().sum() + truth.sum()) > 0.3  # Dice; 0.8 was seen


@pytest.mark.usefixtures("kernel_environment")
def test_first_look_shows_the_image_with_the_label_over_it(tmp_path: Path) -> None:
    book = nbformat.read(REPOSITORY / "notebooks/guides/01-first-look.ipynb", as_version=4)
    client = run(book, tmp_path)
    kinds = {kind for cell in book.cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
    assert {"text/html", "image/png", "application/vnd.jupyter.widget-view+json"} <= kinds
    buffers = [buffer for model in client.widget_buffers.values() for buffer in model.values()]
    volumes = [base64.b64decode(buffer["data"]) for buffer in buffers if buffer["path"] == ["data"]]
    images = [nib.Nifti1Image.from_bytes(gzip.decompress(data)).get_fdata() for data in volumes]
    phantom = make_phantom("ct-chest", 1)
    assert any(np.array_equal(image, phantom.image[SLICES].transpose(2, 1, 0)) for image in images)
    assert any(np.array_equal(image, phantom.truth[SLICES].transpose(2, 1, 0)) for image in images)


@pytest.mark.usefixtures("kernel_environment")
def test_series_of_another_project_is_refused_in_one_clear_line(cohort: Cohort, tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(f"catalog.series({cohort.north_brain!r})")],
        metadata={"kernelspec": {"name": "aurelius", "display_name": "Aurelius", "language": "python"}},
    )
    with pytest.raises(CellExecutionError) as refusal:
        run(book, tmp_path)
    assert refusal.value.ename == "PermissionDenied"
    assert refusal.value.evalue.startswith("rhea may not open series")
    assert "Traceback" not in refusal.value.traceback


def test_first_look_runs_on_a_local_catalog_too(cohort: Cohort, tmp_path: Path) -> None:
    book = nbformat.read(REPOSITORY / "notebooks/guides/01-first-look.ipynb", as_version=4)
    opening = (
        "from pathlib import Path; from aurelius_catalog import Person, open_catalog\n"
        f"catalog = open_catalog(home=Path({str(cohort.settings.home)!r}), person=Person.of('vera', ['project-lung']))"
    )
    book.cells.insert(0, nbformat.v4.new_code_cell(opening))
    run(book, tmp_path)


def test_fresh_notebook_server_offers_aurelius_first(hub: Hub) -> None:
    hub.api("POST", "users/rhea/server")
    try:
        token = hub.api("POST", "users/rhea/tokens", json={"scopes": ["access:servers!user=rhea"]}).json()["token"]
        headers = {"Authorization": f"token {token}"}

        def ask() -> httpx.Response:
            return httpx.get(f"{hub.url}/user/rhea/api/kernelspecs", headers=headers, timeout=10)

        wait_until(lambda: ask().status_code == 200, "rhea's server")
        offered = ask().json()
        assert offered["default"] == "aurelius"
        assert offered["kernelspecs"]["aurelius"]["spec"]["display_name"] == "Aurelius"
    finally:
        hub.api("DELETE", "users/rhea/server")
