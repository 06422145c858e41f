"""A finished notebook as one self-contained HTML page: no script, no outside address."""

from __future__ import annotations

from html import escape
from importlib import resources

import nbformat


def render_notebook(notebook: nbformat.NotebookNode, title: str) -> str:
    """Render a notebook to read: its text, tables and figures, with the code folded away.

    Parameters
    ----------
    notebook
        The notebook with its outputs.
    title
        Title of the page.

    Returns
    -------
    str
        A complete HTML document; a checkbox without script shows the code.
    """
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    # Template "basic" gives the body only: the others load MathJax and RequireJS from outside.
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    style = resources.files("aurelius_extensions.reports.execution").joinpath("notebook.css").read_text("utf-8")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(title)}</title><style>{HtmlFormatter().get_style_defs('.highlight')}\n{style}</style></head>\n"
        "<body><input type='checkbox' id='code'><label for='code'>Show code</label>\n"
        f"<main>{body}</main></body></html>\n"
    )
