"""Reports: notebooks with parameters that run as the asking person, are kept, and are compared when rerun."""

from aurelius_extensions.reports.execution.requester import open_as_requester
from aurelius_extensions.reports.results.declaration import Results

__all__ = ["Results", "open_as_requester"]
