"""Execution of one report notebook: ``python -m aurelius_extensions.reports.execution.execute FOLDER``.

The service starts this as a process of its own. FOLDER holds ``report.ipynb``; what is left there is the
executed ``notebook.ipynb``, the ``report.html`` to read, the notebook's ``results.json`` and an
``outcome.json``. The order, with the person, comes as one line on standard input. The service keeps
the other end of that pipe open: when it closes, however the service ended, this process and its kernel end.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path

import nbformat
import psutil
from pydantic import BaseModel

from aurelius_catalog import errors
from aurelius_extensions.reports.execution.html import render_notebook
from aurelius_extensions.reports.execution.provenance import read_environment
from aurelius_extensions.reports.execution.requester import PERSON_VARIABLE, write_person
from aurelius_extensions.reports.records import Environment, ParameterValue

SOURCE_FILE = "report.ipynb"
NOTEBOOK_FILE = "notebook.ipynb"
HTML_FILE = "report.html"
OUTCOME_FILE = "outcome.json"
KERNEL_START_S = 120
LONGEST_REASON = 600
BANNER_TAG = "papermill-error-cell-tag"


class Order(BaseModel):
    """What to execute, and for whom."""

    title: str
    parameters: dict[str, ParameterValue]
    seed: int
    person: str
    groups: tuple[str, ...]


class ExecutionOutcome(BaseModel):
    """How it went; ``reason`` is None when every cell ran."""

    reason: str | None
    environment: Environment


def main() -> None:
    """Read the order, execute, leave the files."""
    folder = Path(sys.argv[1])
    order = Order.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_end_with_service, daemon=True).start()
    reason = execute_notebook(folder, order)
    if (folder / NOTEBOOK_FILE).exists():
        notebook = nbformat.read(folder / NOTEBOOK_FILE, as_version=4)
        tidy_errors(notebook)
        nbformat.write(notebook, folder / NOTEBOOK_FILE)
        (folder / HTML_FILE).write_text(render_notebook(notebook, order.title), encoding="utf-8")
    outcome = ExecutionOutcome(reason=reason, environment=read_environment())
    (folder / OUTCOME_FILE).write_text(outcome.model_dump_json(), encoding="utf-8")


def execute_notebook(folder: Path, order: Order) -> str | None:
    """Run the notebook in ``folder`` with papermill; return why it could not, or None."""
    import papermill
    from papermill.exceptions import PapermillException, PapermillExecutionError
    from traitlets.config import Config

    with tempfile.TemporaryDirectory() as private:
        # Kernelspecs, settings and start-up scripts of an account have no place in a reproducible run.
        places = ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
        os.environ |= {**dict.fromkeys(places, private), "PYTHONHASHSEED": str(order.seed)}
        os.environ[PERSON_VARIABLE] = write_person(order.person, order.groups)
        os.chdir(folder)
        seeding = (
            f"from aurelius_extensions.reports.execution.seeds import seed_every_cell; seed_every_cell({order.seed})"
        )
        try:
            papermill.execute_notebook(
                SOURCE_FILE,
                NOTEBOOK_FILE,
                order.parameters,
                kernel_name="python3",
                progress_bar=False,
                start_timeout=KERNEL_START_S,
                config=Config(KernelManager={"transport": "ipc"}),
                extra_arguments=[f"--IPKernelApp.exec_lines={seeding}"],
            )
        except PapermillExecutionError as error:
            return describe_error(error.ename, error.evalue, error.cell_index)
        except (PapermillException, RuntimeError) as error:
            return f"The kernel failed: {str(error).strip().splitlines()[-1][:LONGEST_REASON]}"
    return None


def describe_error(name: str, message: str, cell: int) -> str:
    """Say why a notebook stopped: the catalog's own errors are written for people, others name their cell."""
    if is_catalog_error(name):
        return message[:LONGEST_REASON]
    return f"Cell {cell + 1} stopped with {name}: {message}"[:LONGEST_REASON]


def is_catalog_error(name: str) -> bool:
    """Whether a class of this name is one of the catalog's errors."""
    known = getattr(errors, name, None)
    return isinstance(known, type) and issubclass(known, errors.AureliusError)


def tidy_errors(notebook: nbformat.NotebookNode) -> None:
    """Take out papermill's banners, and reduce the catalog's errors to what they say.

    The traceback of a refusal quotes what led to it, such as the UID of a series this person may not see.
    """
    notebook.cells = [cell for cell in notebook.cells if BANNER_TAG not in cell.metadata.get("tags", ())]
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error" and is_catalog_error(output.ename):
                output.traceback = [f"{output.ename}: {output.evalue}"]


def _end_with_service() -> None:
    sys.stdin.read()
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)


if __name__ == "__main__":
    main()
