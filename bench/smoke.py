"""How long every user's path takes through a fresh demo; nobody else has the same walk, so there is no peer."""

from __future__ import annotations

from collections.abc import Callable

from bench.result import Result, compare
from support.smoke import walk_house


def measure_smoke_steps() -> Result:
    """Walk the house once; the result is the sum of all steps, the demo's first start among them."""
    lines = walk_house()
    failed = [title for title, _, fine in lines if not fine]
    assert not failed, f"steps failed: {', '.join(failed)}"
    return compare("smoke_steps", [sum(seconds for _, seconds, _ in lines)])


BENCHMARKS: dict[str, Callable[[], Result]] = {"smoke_steps": measure_smoke_steps}
