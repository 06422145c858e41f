"""The IPython extension: ``catalog`` is there in a fresh notebook, and a refusal is one clear line.

Nothing heavy is imported when the kernel starts: the catalog opens when it is first used.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from aurelius_catalog.errors import AureliusError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from aurelius_catalog import Catalog


class LazyCatalog:
    """Stands for the catalog until it is first used, then for ever passes everything on to it."""

    def __init__(self) -> None:
        self._opened: Catalog | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # how IPython asks what an object can show: no reason to open it
            raise AttributeError(name)
        return getattr(self._open(), name)

    def __dir__(self) -> list[str]:
        return dir(self._open())

    def __repr__(self) -> str:
        try:
            return repr(self._open())
        except AureliusError as error:
            return f"<Catalog that cannot be opened: {error}>"

    def _open(self) -> Catalog:
        if self._opened is None:
            from aurelius_catalog import open_catalog

            self._opened = open_catalog()
        return self._opened


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Give the notebook its ``catalog``, unless it has something of that name already."""
    shell.user_ns.setdefault("catalog", LazyCatalog())
    shell.set_custom_exc((AureliusError,), show_refusal)


def show_refusal(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
    tb_offset: int | None = None,
) -> list[str]:
    """Show what the catalog says without the way it took to say it; ``%tb`` still shows that."""
    lines = [f"\x1b[31m{kind.__name__}\x1b[39m: {error}"]
    shell._showtraceback(kind, error, lines)
    return lines
