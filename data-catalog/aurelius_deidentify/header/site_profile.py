"""Profile files: YAML that a steward can read, checked word by word before it is used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydicom.datadict import tag_for_keyword

from aurelius_deidentify.errors import ProfileUnusable
from aurelius_deidentify.header.options import OPTIONS
from aurelius_deidentify.header.safe_private import PrivateKey

ACTIONS = ("X", "Z", "D", "U", "K", "C", "S")
FIELDS = {"name", "version", "base", "options", "rules"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")
_PRIVATE = re.compile(r"\(?([0-9A-Fa-f]{3}[13579BDFbdf]),?[xX]{2}([0-9A-Fa-f]{2})\)?")


@dataclass(frozen=True)
class SiteRule:
    """A site's own rule: for a tag, or for a private attribute by its creator.

    Parameters
    ----------
    action
        One of `ACTIONS`.
    tag
        The attribute, if it is of the standard.
    private
        Group, creator and element, if it is private.
    """

    action: str
    tag: int | None = None
    private: PrivateKey | None = None

    def describe(self) -> list[Any]:
        """Return the rule in one spelling, whatever way the file wrote it."""
        return [self.action, self.tag, list(self.private) if self.private else None]


@dataclass(frozen=True)
class ProfileFile:
    """The content of a profile file."""

    name: str
    version: int
    options: tuple[str, ...]
    rules: tuple[SiteRule, ...]


def parse_profile(source: str | Path) -> ProfileFile:
    """Read and check a packaged profile, by name, or a file.

    Raises
    ------
    ProfileUnusable
        If it cannot be read, or says something that is not understood.
    """
    where = f"The profile {source}"
    try:
        data = yaml.safe_load(_read(source))
    except OSError:
        names = ", ".join(sorted(file.name[:-5] for file in (files(__package__) / "profiles").iterdir()))
        raise ProfileUnusable(f"{where} is neither packaged ({names}) nor a file that can be read.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise ProfileUnusable(f"{where} is not YAML{'' if line is None else f': look at line {line + 1}'}.") from None
    if not isinstance(data, dict) or set(data) - FIELDS or not {"name", "version", "base"} <= set(data):
        raise ProfileUnusable(f"{where} has name, version and base, may have options and rules, and nothing else.")
    if not isinstance(data["name"], str) or not _NAME.fullmatch(data["name"]):
        raise ProfileUnusable(f"{where}: name must be small letters, digits, - and _, at most 40.")
    if type(data["version"]) is not int or data["version"] < 1:
        raise ProfileUnusable(f"{where}: version must be a whole number from 1 on.")
    if data["base"] != "basic":
        raise ProfileUnusable(f"{where}: base must be basic, the one profile PS3.15 Annex E defines.")
    return ProfileFile(data["name"], data["version"], _read_options(where, data), _read_rules(where, data))


def _read(source: str | Path) -> str:
    packaged = files(__package__) / "profiles" / f"{source}.yaml"
    return packaged.read_text() if _NAME.fullmatch(str(source)) and packaged.is_file() else Path(source).read_text()


def _read_options(where: str, data: dict[str, Any]) -> tuple[str, ...]:
    options = data.get("options") or []
    unknown = [str(name) for name in options if name not in OPTIONS] if isinstance(options, list) else [str(options)]
    if unknown:
        raise ProfileUnusable(f"{where}: {', '.join(unknown)} is no option; there are {', '.join(OPTIONS)}.")
    if {"retain_full_dates", "retain_modified_dates"} <= set(options):
        raise ProfileUnusable(f"{where}: dates are kept or moved, not both; take one of the two options out.")
    return tuple(options)


def _read_rules(where: str, data: dict[str, Any]) -> tuple[SiteRule, ...]:
    rules = data.get("rules") or []
    if not isinstance(rules, list):
        raise ProfileUnusable(f"{where}: rules must be a list.")
    read = tuple(_read_rule(f"{where}, rule {number}", rule) for number, rule in enumerate(rules, 1))
    named = [rule.tag or rule.private for rule in read]
    if len(set(named)) != len(named):
        raise ProfileUnusable(f"{where}: two rules are about the same attribute.")
    return read


def _read_rule(where: str, rule: Any) -> SiteRule:
    if not isinstance(rule, dict) or not {"attribute", "action"} <= set(rule) <= {"attribute", "action", "creator"}:
        raise ProfileUnusable(f"{where}: a rule has attribute and action, and creator if the attribute is private.")
    attribute, action = str(rule["attribute"]).strip(), rule["action"]
    if action not in ACTIONS:
        raise ProfileUnusable(f"{where}: {action} is no action; there are {', '.join(ACTIONS)}.")
    if "creator" in rule:
        match = _PRIVATE.fullmatch(attribute)
        if not match:
            raise ProfileUnusable(f"{where}: write a private attribute with its creator as (0019,xx0C).")
        return SiteRule(action, private=(int(match[1], 16), str(rule["creator"]), int(match[2], 16)))
    match = _TAG.fullmatch(attribute)
    tag = int(match[1] + match[2], 16) if match else tag_for_keyword(attribute)
    if tag is None:
        raise ProfileUnusable(f"{where}: {attribute} is neither a keyword of PS3.6 nor a tag like (0020,0010).")
    if tag >> 16 & 1:
        raise ProfileUnusable(f"{where}: a private attribute needs its creator, and its block as xx.")
    return SiteRule(action, tag=int(tag))
