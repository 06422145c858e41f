"""How fast the house is, measured beside its peers in the same run. `make bench` runs all, `make bench NAME=…` one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the servers that the tests run against
