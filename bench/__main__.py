"""``python -m bench [NAME …]``: run all benchmarks, or those named."""

from __future__ import annotations

import sys

from bench import annotation, dashboard, hub, intake, ohif, reading, search, service, shared_files, smoke
from bench.result import save_results

BENCHMARKS = {
    **shared_files.BENCHMARKS,
    **hub.BENCHMARKS,
    **dashboard.BENCHMARKS,
    **annotation.BENCHMARKS,
    **intake.BENCHMARKS,
    **ohif.BENCHMARKS,
    **reading.BENCHMARKS,
    **search.BENCHMARKS,
    **service.BENCHMARKS,
    **smoke.BENCHMARKS,
}


def main(names: list[str]) -> int:
    """Run and save; returns the exit status."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(
            f"There is no benchmark {', '.join(unknown)}; there are {', '.join(sorted(BENCHMARKS))}.", file=sys.stderr
        )
        return 2
    for name in names or BENCHMARKS:
        print(f"{name} …", flush=True)
        result = BENCHMARKS[name]()
        save_results([result])
        print(f"{name}: {result.ours} {result.unit}, peer {result.peer} ({result.peer_name}), ratio {result.ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main([name for name in sys.argv[1:] if name]))
