"""Searches for series, studies and instances: from keywords to SQL and back to records, within a person's rights.

`keywords` lists what can be searched, `conditions` turns one keyword and its value into SQL, `queries` asks the index.
"""

from aurelius_catalog.search.keywords import KEYWORDS
from aurelius_catalog.search.queries import (
    count_series,
    count_values,
    find_instances,
    find_page,
    find_studies,
    read_table,
)

__all__ = ["KEYWORDS", "count_series", "count_values", "find_instances", "find_page", "find_studies", "read_table"]
