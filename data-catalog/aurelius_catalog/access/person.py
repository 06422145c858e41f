"""The person who asks, and the rights that the hub's groups give.

The hub turns Keycloak's claims into groups: realm role ``annotator`` becomes ``role-annotator``,
``/projects/lung`` becomes ``project-lung``, ``/sites/north`` becomes ``site-north`` (DESIGN section 5).
Everything the catalog allows or refuses is derived from these names and nothing else.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files

from aurelius_catalog.errors import PermissionDenied


class Action(StrEnum):
    """Things a person may do beyond looking."""

    ANNOTATE = "annotate"
    PREDICT = "predict"
    DECIDE = "decide"
    FREEZE = "freeze"
    REPORT = "report"
    STEWARD = "steward"


def load_rights() -> tuple[dict[Action, frozenset[str]], frozenset[str]]:
    """Return which roles carry which right, and which see every study (``roles.toml``)."""
    roles = tomllib.loads((files(__package__) / "roles.toml").read_text("utf-8"))
    rights = {
        action: frozenset(name for name, role in roles.items() if action in role.get("does", ())) for action in Action
    }
    return rights, frozenset(name for name, role in roles.items() if role.get("sees_everything"))


ROLES_FOR, SEES_EVERYTHING = load_rights()


@dataclass(frozen=True)
class Person:
    """A person, or a service of the house, with the groups the hub vouches for.

    Parameters
    ----------
    name
        The hub's user name (``preferred_username`` in Keycloak).
    groups
        Hub group names: ``role-*``, ``project-*``, ``site-*``; others are ignored.
    """

    name: str
    groups: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, name: str, groups: Iterable[str]) -> Person:
        """Build a person from any iterable of groups; ``role-service`` is dropped, whoever sent it."""
        return cls(name, frozenset(groups) - {"role-service"})

    @classmethod
    def service(cls, name: str) -> Person:
        """Build the identity of a process of the house, which sees every study."""
        return cls(name, frozenset({"role-service"}))

    @property
    def roles(self) -> frozenset[str]:
        """Role names without their prefix."""
        return self._named("role-")

    @property
    def projects(self) -> frozenset[str]:
        """Project names without their prefix."""
        return self._named("project-")

    @property
    def sites(self) -> frozenset[str]:
        """Site names without their prefix."""
        return self._named("site-")

    @property
    def sees_everything(self) -> bool:
        """Whether every de-identified study is visible (stewards and services)."""
        return bool(self.roles & SEES_EVERYTHING)

    def may_see(self, site: str, projects: Iterable[str]) -> bool:
        """Whether a study of ``site`` that belongs to ``projects`` is visible to this person."""
        return self.sees_everything or site in self.sites or bool(self.projects.intersection(projects))

    def may(self, action: Action) -> bool:
        """Whether one of the person's roles carries the right to ``action``."""
        return bool(self.roles & ROLES_FOR[action])

    def require(self, action: Action) -> None:
        """Refuse unless the person may do ``action``.

        Raises
        ------
        PermissionDenied
            With the roles that would allow it.
        """
        if not self.may(action):
            allowed = ", ".join(sorted(ROLES_FOR[action] - {"service"}))
            raise PermissionDenied(f"{self.name} may not {action}: it takes one of the roles {allowed}.")

    def _named(self, prefix: str) -> frozenset[str]:
        return frozenset(group.removeprefix(prefix) for group in self.groups if group.startswith(prefix))
