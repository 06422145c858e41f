"""What a steward sees: how many objects of each site ended how, and why some did not get through."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aurelius_catalog.intake.items import FINAL, IntakeItem, Items, State
from aurelius_catalog.intake.zone import Zone

COLOURS: dict[str, str] = {
    State.STORED: "green",
    State.DUPLICATE: "cyan",
    State.QUARANTINED: "yellow",
    State.FAILED: "red",
}


@dataclass(frozen=True)
class Status:
    """The intake at a glance.

    Parameters
    ----------
    sites
        For each site the number of objects in each final state, and ``pending``: still in the inbox.
    troubled
        What was quarantined or failed.
    strays
        Names of what lies in the inbox outside of any site's folder.
    """

    sites: Mapping[str, Mapping[str, int]]
    troubled: tuple[IntakeItem, ...]
    strays: tuple[str, ...]

    @property
    def pending(self) -> int:
        """How many objects have no disposition yet."""
        return sum(counts["pending"] for counts in self.sites.values())

    def to_json(self) -> dict[str, Any]:
        """Return what ``status --json`` prints."""
        fields = ("id", "site", "name", "state", "reason", "location")
        listed = [{field: getattr(item, field) for field in fields} for item in self.troubled]
        return {"pending": self.pending, "sites": self.sites, "troubled": listed, "strays": list(self.strays)}


def describe_status(zone: Zone, items: Items) -> Status:
    """Count and list everything that came in."""
    ended = items.count()
    # A file leaves the inbox only once its end is recorded; one that is recorded and still there is not pending.
    leaving = Counter(item.site for item in items.list_unsettled())
    sites = {}
    for site in sorted({*zone.list_sites(), *(name for name, _ in ended)}):
        waiting = sum(1 for _ in zone.list_waiting(site)) if (zone.inbox / site).is_dir() else 0
        counts: dict[str, int] = {str(state): ended.get((site, state), 0) for state in State if state in FINAL}
        sites[site] = {"pending": max(waiting - leaving[site], 0), **counts}
    return Status(sites, tuple(items.list_troubled()), tuple(path.name for path in zone.list_strays()))


def print_status(status: Status, console: Console) -> None:
    """Print the tables a steward reads."""
    if not status.sites:
        console.print("Nothing has come in yet. Put files into inbox/<site>/, or: aurelius intake add PATH --site SITE")
    else:
        console.print(_tabulate_sites(status))
    if status.troubled:
        console.print(_tabulate_troubled(status.troubled))
        console.print("The originals, each with its reason beside it, are in quarantine/ and failed/.")
    for name in status.strays:
        console.print(
            f"[yellow]{escape(name)} lies in the inbox outside of a site's folder: move it into one.[/yellow]"
        )


def _tabulate_sites(status: Status) -> Table:
    table = Table(title="What came in", title_justify="left")
    table.add_column("site")
    columns = ["pending", *(state for state in State if state in FINAL)]
    for column in columns:
        table.add_column(str(column), justify="right")
    for site, counts in status.sites.items():
        table.add_row(site, *(_show(counts[column], COLOURS.get(column, "bold")) for column in columns))
    if len(status.sites) > 1:
        table.add_section()
        totals = [sum(counts[column] for counts in status.sites.values()) for column in columns]
        table.add_row("all", *(str(total) for total in totals))
    return table


def _tabulate_troubled(troubled: tuple[IntakeItem, ...]) -> Table:
    """List files under the reason they share, the commonest reason first."""
    groups: dict[tuple[str, State, str], list[IntakeItem]] = defaultdict(list)
    for item in troubled:
        groups[item.site, item.state, item.reason or ""].append(item)
    table = Table(title="What did not get through", title_justify="left", expand=True)
    table.add_column("site")
    table.add_column("state")
    table.add_column("reason", ratio=2)
    table.add_column("item", justify="right")
    table.add_column("file", overflow="fold", ratio=3)
    for (site, state, reason), members in sorted(groups.items(), key=lambda group: (group[0][0], -len(group[1]))):
        head: tuple[str | Text, ...] = (site, Text(state, style=COLOURS[state]), escape(reason))
        for item in members:
            table.add_row(*head, str(item.id), escape(item.name))
            head = ("", "", "")
        table.add_section()
    return table


def _show(number: int, style: str) -> Text:
    return Text(str(number), style=style if number else "dim")
