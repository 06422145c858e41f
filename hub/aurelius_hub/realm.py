"""The realm of the loopback issuer: its people, its one client, and where it may listen."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from aurelius_hub.configure import read_client_secret
from aurelius_hub.errors import UnsafeAddress
from aurelius_hub.people import DEMO_PEOPLE, DemoPerson, load_passwords
from aurelius_hub.settings import HubSettings
from aurelius_hub.tokens import TokenStore


class Issuer:
    """Who may log in, and the one client that may send them here.

    Parameters
    ----------
    address
        Address of this issuer, with the realm.
    people, passwords
        The people it knows; ``people`` may be changed while it runs, as an administrator would.
    client_id, client_secret
        The hub's client.
    hosts
        ``host:port`` of the addresses under which the hub is reached; nothing else is redirected to.
    """

    def __init__(
        self,
        address: str,
        people: Iterable[DemoPerson],
        passwords: Mapping[str, str],
        client_id: str,
        client_secret: str,
        hosts: Iterable[str],
    ) -> None:
        self.address = address
        self.people = {person.name: person for person in people}
        self.passwords = dict(passwords)
        self.client_id = client_id
        self.client_secret = client_secret
        self.hosts = frozenset(hosts)
        self.tokens = TokenStore(address, client_id)

    def knows(self, name: str, password: str) -> bool:
        """Whether this is the person's password; takes as long for somebody unknown."""
        expected = self.passwords.get(name, "")
        same = hmac.compare_digest(password.encode(), expected.encode())
        return same and bool(expected) and name in self.people

    def returns_to(self, uri: str, path: str) -> bool:
        """Whether ``uri`` is the hub's own page ``path``."""
        parts = urlsplit(uri)
        return parts.scheme in {"http", "https"} and parts.netloc in self.hosts and parts.path == path

    def describe(self, name: str) -> dict[str, object]:
        """Return a person's claims as Keycloak sends them: an empty ``groups`` is left out."""
        person = self.people[name]
        claims: dict[str, object] = {
            "sub": name,
            "preferred_username": name,
            "realm_access": {"roles": [*person.roles, "offline_access", "default-roles-aurelius"]},
        }
        return claims | ({"groups": person.groups} if person.groups else {})


def check_loopback(host: str) -> None:
    """Refuse any address that the network could reach.

    Raises
    ------
    UnsafeAddress
        If ``host`` is not a loopback address.
    """
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UnsafeAddress(
            f"The demo's issuer only listens on this machine (127.0.0.1), not on {host}. "
            "For logins over the network use Keycloak and set AURELIUS_ISSUER_URL."
        )


def build_issuer(settings: HubSettings, people: Iterable[DemoPerson] = DEMO_PEOPLE) -> Issuer:
    """Return the issuer for the hub of ``settings``, with the passwords of its home."""
    folk = tuple(people)
    return Issuer(
        address=settings.issuer,
        people=folk,
        passwords=load_passwords(settings.state / "passwords.json", folk),
        client_id=settings.client_id,
        client_secret=read_client_secret(settings),
        hosts=[f"{host}:{settings.port}" for host in ("127.0.0.1", "localhost")],
    )
