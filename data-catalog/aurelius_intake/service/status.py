"""The status that a steward sees: how many objects of each site ended how, and why some did not get through."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aurelius_catalog.hosting.free_space import describe_disk
from aurelius_deidentify.header.site_profile import parse_profile
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import FINAL, IntakeItem, IntakeItems, ItemState
from aurelius_intake.zone.lock import is_running

COLOURS: dict[str, str] = {
    ItemState.STORED: "green",
    ItemState.DUPLICATE: "cyan",
    ItemState.CONFLICT: "yellow",
    ItemState.QUARANTINED: "yellow",
    ItemState.FAILED: "red",
}
#: Ends that are shown even where nothing ended so.
USUAL = (ItemState.STORED, ItemState.DUPLICATE, ItemState.CONFLICT, ItemState.QUARANTINED, ItemState.FAILED)
#: The pace is counted over so long.
PACE_MINUTES = 5


@dataclass(frozen=True)
class Status:
    """The intake at a glance.

    Parameters
    ----------
    sites
        For each site the number of objects in each final state, and ``pending``: still in the inbox, of which
        ``deidentified`` are on their way.
    troubled
        What a steward should look at.
    strays
        What lies in the inbox outside of any site's folder, and links, which are not followed.
    disk
        Free and reserved bytes, and whether anything is taken.
    profile
        The profile of de-identification.
    rate_per_minute
        Objects that got a disposition, over the last minutes.
    changed_at
        When an object last changed its state.
    running
        Whether an intake is at work.
    """

    sites: Mapping[str, Mapping[str, int]]
    troubled: tuple[IntakeItem, ...]
    strays: tuple[str, ...]
    disk: Mapping[str, Any]
    profile: str
    rate_per_minute: float
    changed_at: datetime | None
    running: bool

    @property
    def pending(self) -> int:
        """How many objects have no disposition yet."""
        return sum(counts["pending"] for counts in self.sites.values())

    def to_json(self) -> dict[str, Any]:
        """Return what ``status --json`` prints."""
        fields = ("id", "site", "name", "state", "reason", "location")
        return {
            "pending": self.pending,
            "sites": self.sites,
            "disk": self.disk,
            "profile": self.profile,
            "rate_per_minute": self.rate_per_minute,
            "changed_at": self.changed_at.isoformat() if self.changed_at else None,
            "running": self.running,
            "troubled": [{field: getattr(item, field) for field in fields} for item in self.troubled],
            "strays": list(self.strays),
        }


def describe_status(settings: IntakeSettings) -> Status:
    """Count and list everything that came in."""
    zone = Zone(settings)
    items = IntakeItems(zone.database)
    counted = items.count()
    # A file leaves the inbox only once its end is recorded; one that is recorded and still there is not pending.
    leaving = Counter(item.site for item in items.list_unsettled())
    sites = {}
    for site in sorted({*zone.list_sites(), *(name for name, _ in counted)}):
        waiting = sum(1 for _ in zone.list_waiting(site)) if (zone.inbox / site).is_dir() else 0
        counts = {
            str(state): counted.get((site, state), 0)
            for state in ItemState
            if state in USUAL or (site, state) in counted
        }
        counts.pop(ItemState.RECEIVED, None)
        sites[site] = {"pending": max(waiting - leaving[site], 0), **counts}
    profile = parse_profile(settings.intake_profile)
    recent = items.count(since=datetime.now(UTC) - timedelta(minutes=PACE_MINUTES))
    ended = sum(number for (_, state), number in recent.items() if state in FINAL)
    return Status(
        sites,
        tuple(items.list_troubled()),
        tuple(zone.list_strays()),
        describe_disk(settings),
        f"{profile.name}@{profile.version}",
        ended / PACE_MINUTES,
        items.find_last_change(),
        is_running(zone),
    )


def print_status(status: Status, console: Console) -> None:
    """Print the tables a steward reads."""
    if not status.sites:
        console.print("Nothing has come in yet. Put files into inbox/<site>/, or: aurelius intake add PATH --site SITE")
    else:
        console.print(_tabulate_sites(status))
        console.print(_describe_progress(status))
    if not status.disk["taking"]:
        free, reserve = (status.disk[name] >> 20 for name in ("free_bytes", "reserve_bytes"))
        console.print(
            f"[red]The disk is too full: {free} MiB are free, {reserve} must stay free. Nothing is taken.[/red]"
        )
    if status.troubled:
        console.print(_tabulate_troubled(status.troubled))
        console.print("The originals, each with its reason beside it, are in quarantine/ and failed/.")
    for name in status.strays:
        console.print(
            f"[yellow]{escape(name)} lies in the inbox outside of a site's folder, or is a link: "
            "put the file itself into a site's folder.[/yellow]"
        )


def _describe_progress(status: Status) -> str:
    """Say how far the intake is, and how long the rest will take at its present pace."""
    work = "at work" if status.running else "not running"
    text = f"The intake is {work}, with the profile {status.profile}."
    if status.running and status.pending and status.rate_per_minute:
        minutes = max(status.pending / status.rate_per_minute, 1)
        text += f" {status.rate_per_minute:.0f} objects a minute: about {minutes:.0f} minutes to go."
    return text


def _tabulate_sites(status: Status) -> Table:
    table = Table(title="What came in", title_justify="left")
    table.add_column("site")
    seen = {name for counts in status.sites.values() for name in counts}
    columns = ["pending", *(str(state) for state in ItemState if state in seen)]
    for column in columns:
        table.add_column(column, justify="right")
    for site, counts in status.sites.items():
        table.add_row(site, *(_show(counts.get(column, 0), COLOURS.get(column, "bold")) for column in columns))
    if len(status.sites) > 1:
        table.add_section()
        totals = [sum(counts.get(column, 0) for counts in status.sites.values()) for column in columns]
        table.add_row("all", *(str(total) for total in totals))
    return table


def _tabulate_troubled(troubled: tuple[IntakeItem, ...]) -> Table:
    """List files under the reason they share, the commonest reason first."""
    groups: dict[tuple[str, ItemState, str], list[IntakeItem]] = defaultdict(list)
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
