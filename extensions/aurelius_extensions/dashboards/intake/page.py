"""The data steward's page: the intake's state, the release desk, the certificates and re-identification.

The kernel behind the page is in the de-identified zone and provides only the script and the person's name.
The script asks the intake service itself, from the browser, with the browser's own login: what identifies a patient
goes from the intake to the steward's screen and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets
from IPython.display import HTML, display

from aurelius_catalog.access.person import Person
from aurelius_catalog.viewing.web_assets import read_bundle

FOLDER = Path(__file__).parent
#: Seen until the script runs.
FIRST_PAINT = """
<div id="first-paint" class="au-intake">
  <header class="au-top"><h1>Intake</h1><span class="au-count">Asking the intake …</span></header>
</div>
"""


class Intake(anywidget.AnyWidget):
    """The live page of one steward."""

    _esm = read_bundle(FOLDER, "page")
    _css = (FOLDER / "intake.css").read_text(encoding="utf-8")

    person = traitlets.Unicode().tag(sync=True)

    def paint_first(self) -> None:
        """Write the page's frame as HTML, to be seen before any script has run."""
        display(HTML(FIRST_PAINT), metadata={"aurelius": {"first_paint": True}})

    def show(self, person: Person) -> None:
        """Put the live page in, with the name of the steward who looks."""
        self.person = person.name
        display(self)
