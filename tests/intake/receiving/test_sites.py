"""The file of the sites: what it says, and what it says wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurelius_catalog.errors import InvalidSites
from aurelius_intake.receiving.sites import read_sites

NORTH = """
[north]
called_ae = "NORTH"
callers = ["CT1", "MAIN PACS"]
senders = ["north-gateway"]
pull = "https://pacs.north.example:8443/dicom-web/"
pull_secret = "identified/north.secret"
[south]
"""


def test_a_full_site_and_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text(NORTH)
    sites = read_sites(tmp_path / "sites.toml")
    north = sites["north"]
    assert (north.called_ae, north.callers, north.senders) == ("NORTH", {"CT1", "MAIN PACS"}, {"north-gateway"})
    assert (north.pull, north.pull_secret) == (
        "https://pacs.north.example:8443/dicom-web",
        Path("identified/north.secret"),
    )
    assert (sites["south"].called_ae, sites["south"].callers, sites["south"].pull) == (None, frozenset(), None)


def test_no_file_means_nobody_may_call(tmp_path: Path) -> None:
    assert read_sites(tmp_path / "sites.toml") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[north", "sites.toml cannot be read"),
        ("[North]", "'North' is no site"),
        ("north = 3", "north: Input should be"),
        ("[north]\ncalled = 'N'", "north.called: Extra inputs are not permitted"),
        ("[north]\ncalled_ae = 'N'", "give both called_ae and callers"),
        ("[north]\ncallers = ['CT1']", "give both called_ae and callers"),
        ("[north]\ncalled_ae = 'SEVENTEEN LETTERS'\ncallers = ['CT1']", "north.called_ae: Value error, an AE title"),
        ("[north]\ncalled_ae = 'N'\ncallers = ['A\\\\B']", "north.callers.0: Value error, an AE title"),
        ("[north]\npull = 'ftp://pacs'", "north.pull: Value error, give the server's http"),
        ("[north]\npull = 'http://user:word@pacs/dicom-web'", "without user, password or query"),
        ("[north]\npull_secret = 'x'", "a pull_secret but no pull"),
        ("[a]\ncalled_ae='X'\ncallers=['Y']\n[b]\ncalled_ae='X'\ncallers=['Z']", "a and b have the same called_ae"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text(text)
    with pytest.raises(InvalidSites) as said:
        read_sites(tmp_path / "sites.toml")
    assert message in str(said.value)
