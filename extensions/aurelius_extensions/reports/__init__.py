"""Reports: notebooks with parameters that run as the asking person, are kept, and are compared when rerun."""

from aurelius_extensions.reports.asker import open_as_asker
from aurelius_extensions.reports.results import Results

__all__ = ["Results", "open_as_asker"]
