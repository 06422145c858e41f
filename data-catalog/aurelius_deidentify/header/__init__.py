"""De-identification: PS3.15 Annex E, edition 2026c, as data and one function per action.

A `Profile` gives the action for each attribute; a `StudySession` of a `Deidentifier` rewrites the objects of a study.
"""

from __future__ import annotations

from aurelius_deidentify.header.deidentified_object import DeidentifiedObject
from aurelius_deidentify.header.deidentifier import Deidentifier, deidentify_file
from aurelius_deidentify.header.part10 import read_identified
from aurelius_deidentify.header.profile import Profile, Rule, load_profile
from aurelius_deidentify.header.pseudonyms import PseudonymKey
from aurelius_deidentify.header.study_session import StudySession
from aurelius_deidentify.header.table import ProfileTable, Row, load_table

__all__ = [
    "DeidentifiedObject",
    "Deidentifier",
    "Profile",
    "ProfileTable",
    "PseudonymKey",
    "Row",
    "Rule",
    "StudySession",
    "deidentify_file",
    "load_profile",
    "load_table",
    "read_identified",
]
