"""De-identification: PS3.15 Annex E, edition 2026c, as data and one function per action.

`deidentify_file` turns an identified Part 10 file into one the catalog may hold.
"""

from __future__ import annotations

from aurelius_catalog.deidentify.dataset import Deidentifier
from aurelius_catalog.deidentify.keys import PseudonymKey, create_key, read_key
from aurelius_catalog.deidentify.part10 import deidentify_file, read_identified, write_deidentified
from aurelius_catalog.deidentify.profile import Profile, Rule, load_profile
from aurelius_catalog.deidentify.rewrite import Rewritten, StudySession
from aurelius_catalog.deidentify.table import ProfileTable, Row, load_table

__all__ = [
    "Deidentifier",
    "Profile",
    "ProfileTable",
    "PseudonymKey",
    "Rewritten",
    "Row",
    "Rule",
    "StudySession",
    "create_key",
    "deidentify_file",
    "load_profile",
    "load_table",
    "read_identified",
    "read_key",
    "write_deidentified",
]
