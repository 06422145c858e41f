"""De-identification: PS3.15 Annex E, edition 2026c, as data and one function per action.

A `Profile` says what becomes of each attribute; a `StudySession` of a `Deidentifier` rewrites the objects of a study.
"""

from __future__ import annotations

from aurelius_catalog.deidentify.dataset import Deidentifier, deidentify_file
from aurelius_catalog.deidentify.keys import PseudonymKey
from aurelius_catalog.deidentify.part10 import read_identified
from aurelius_catalog.deidentify.profile import Profile, Rule, load_profile
from aurelius_catalog.deidentify.rewrite import StudySession
from aurelius_catalog.deidentify.rewritten import Rewritten
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
    "deidentify_file",
    "load_profile",
    "load_table",
    "read_identified",
]
