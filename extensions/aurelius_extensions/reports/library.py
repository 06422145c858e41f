"""The report notebooks that can be run: their titles, descriptions and parameters."""

from __future__ import annotations

import ast
import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from aurelius_catalog.errors import InvalidRequest, NotFound
from aurelius_extensions.errors import ReportInvalid
from aurelius_extensions.reports.records import ParameterValue

LONGEST_TEXT = 500
TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a report, as its ``parameters`` cell declares it."""

    name: str
    type: str
    default: ParameterValue
    help: str

    def read(self, value: object) -> ParameterValue:
        """Return ``value`` in this parameter's type; text is converted, as it comes from a form.

        Raises
        ------
        InvalidRequest
            If it cannot be understood as that type.
        """
        kind = TYPES[self.type]
        try:
            return _convert(value, kind)
        except ValueError:
            raise InvalidRequest(f"Parameter {self.name} takes a value of type {self.type}, not {value!r}.") from None


@dataclass(frozen=True)
class ReportNotebook:
    """A report notebook. ``name`` is its file name without the ending, ``sha256`` the hash of its bytes."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    path: Path
    sha256: str

    def read_parameters(self, given: Mapping[str, object]) -> dict[str, ParameterValue]:
        """Complete ``given`` with the defaults and check names and types.

        Raises
        ------
        InvalidRequest
            For a name the report does not have (papermill alone would only warn), or a value of another type.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'none'}."
                raise InvalidRequest(f"Report {self.name} has no parameter {name[:80]}: {hint}")
        return {
            name: parameter.read(given[name]) if name in given else parameter.default
            for name, parameter in known.items()
        }


class Library:
    """The report notebooks of a folder.

    Parameters
    ----------
    folder
        Folder with one ``<name>.ipynb`` per report.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list_reports(self) -> list[ReportNotebook]:
        """Return every readable report, by name; an unreadable one is left out, because it cannot be run."""
        reports = []
        for path in sorted(self.folder.glob("*.ipynb")):
            try:
                reports.append(read_report(path))
            except ReportInvalid:
                continue
        return reports

    def get_report(self, name: str) -> ReportNotebook:
        """Return one report.

        Raises
        ------
        NotFound
            If the library has none of that name.
        ReportInvalid
            If its notebook cannot be offered.
        """
        names = [path.stem for path in sorted(self.folder.glob("*.ipynb"))]
        if name not in names:
            raise NotFound(f"There is no report {name[:80]!r}. There are: {', '.join(names) or 'none'}.")
        return read_report(self.folder / f"{name}.ipynb")


def read_report(path: Path) -> ReportNotebook:
    """Read title, description and parameters from a report notebook.

    Raises
    ------
    ReportInvalid
        If it is no notebook, has no cell tagged ``parameters``, or a default that is not a plain value.
    """
    # papermill takes a second to import; the kernel, which imports this package too, never needs it.
    from papermill import inspect_notebook

    content = path.read_bytes()
    try:
        notebook = nbformat.reads(content.decode("utf-8"), as_version=4)
    except (UnicodeDecodeError, ValueError, nbformat.reader.NotJSONError) as error:
        raise ReportInvalid(f"{path.name} is not a notebook.") from error
    if not any("parameters" in cell.metadata.get("tags", ()) for cell in notebook.cells):
        raise ReportInvalid(f"{path.name} has no cell tagged 'parameters'.")
    title, description = _read_heading(notebook, path.stem)
    return ReportNotebook(
        name=path.stem,
        title=title,
        description=description,
        parameters=tuple(_read_parameter(entry, path) for entry in inspect_notebook(str(path)).values()),
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _read_heading(notebook: nbformat.NotebookNode, fallback: str) -> tuple[str, str]:
    text = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "")
    heading = re.search(r"^#\s+(.+)$", text, flags=re.MULTILINE)
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip() and not part.lstrip().startswith("#")]
    return heading.group(1).strip() if heading else fallback, paragraphs[0].replace("\n", " ") if paragraphs else ""


def _read_parameter(entry: Mapping[str, str], path: Path) -> Parameter:
    try:
        default = ast.literal_eval(entry["default"])
    except (ValueError, SyntaxError) as error:
        raise ReportInvalid(f"{path.name}: the default of parameter {entry['name']} is not a plain value.") from error
    declared = entry["inferred_type_name"]
    kind = declared if declared in TYPES else type(default).__name__
    if kind not in TYPES:
        raise ReportInvalid(f"{path.name}: parameter {entry['name']} is a {kind}; use {', '.join(TYPES)}.")
    return Parameter(name=entry["name"], type=kind, default=default, help=entry["help"])


def _convert(value: object, kind: type) -> ParameterValue:
    if kind is bool:
        words = {
            "true": True,
            "on": True,
            "yes": True,
            "1": True,
            "false": False,
            "off": False,
            "no": False,
            "0": False,
        }
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(word)
        return words[word]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(value)
    if kind is str:
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise ValueError(value)
        return value.strip()
    if kind is int:
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(value)
        return int(value)
    return float(value)
