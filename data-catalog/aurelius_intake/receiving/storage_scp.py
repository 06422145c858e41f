"""The C-STORE listener: scanners and PACS send, each object is in the inbox before it is acknowledged."""

from __future__ import annotations

import logging
import secrets
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import cast
from weakref import WeakKeyDictionary

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.hosting.free_space import has_room
from aurelius_intake.metrics import ASSOCIATIONS, RECEIVED, REFUSED
from aurelius_intake.receiving.delivery import Arrivals, ArrivedObject
from aurelius_intake.receiving.sites import AE_TITLE, Site
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone

log = logging.getLogger("aurelius.intake.listener")

MOST_ASSOCIATIONS = 32
#: Seconds without a word from a peer after which its association is ended.
NETWORK_TIMEOUT_S = 60
#: Seconds a peer may take to ask for an association once it is connected.
REQUEST_TIMEOUT_S = 10
#: Seconds that peers get to hear that the listener stops.
STOP_S = 5
#: The most that dcmtk and most others send in one PDU; larger units cost fewer turns.
PDU_BYTES = 131072
#: Statuses of PS3.4 table B.2-1.
STORED, OUT_OF_RESOURCES = 0x0000, 0xA700
#: Reasons of PS3.8 table 9-21: (result, source, diagnostic), all permanent and by the service user.
CALLING_UNKNOWN, CALLED_UNKNOWN = (1, 1, 3), (1, 1, 7)


@dataclass
class IncomingAssociation:
    """What one association brings: to which site, from whom, into which folder."""

    site: str
    caller: str
    batch: str
    n_objects: int = 0


class Listener:
    """A storage SCP (PS3.4 annex B) and echo SCP for the sites' own scanners and PACS.

    The called AE title selects the site; titles that no site has, and callers the site does not name, are refused
    when they ask for an association. Every storage SOP class and transfer syntax is taken as it comes; the data set
    is written to disk while it arrives and never decoded.

    Parameters
    ----------
    settings
        Say where to listen, and how much disk must stay free.
    zone
        Where objects go.
    sites
        Who may call which title.
    """

    def __init__(self, settings: IntakeSettings, zone: Zone, sites: Mapping[str, Site]) -> None:
        self.settings = settings
        self.titles = {site.called_ae: (name, site) for name, site in sites.items() if site.called_ae}
        self.arrivals = Arrivals(zone, "dimse")
        self._visits: WeakKeyDictionary[Association, IncomingAssociation] = WeakKeyDictionary()
        self._ae = _make_entity()
        self._server: ThreadedAssociationServer | None = None
        self._tempdir = tempfile.tempdir

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("The listener was not started.")
        return int(self._server.server_address[1])

    @property
    def n_associations(self) -> int:
        """How many peers are connected now."""
        return len(self._ae.active_associations)

    def __enter__(self) -> Listener:
        for name in ("pynetdicom", "pydicom"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they quote what peers send
        # Objects go to disk while they arrive; pynetdicom asks `tempfile` for the place, which must be the zone.
        tempfile.tempdir = str(self.arrivals.folder)
        _config.STORE_RECV_CHUNKED_DATASET = True
        _config.UNRESTRICTED_STORAGE_SERVICE = True  # private and future storage classes too: the pipeline decides
        handlers = [
            (evt.EVT_DATA_RECV, _acknowledge),
            (evt.EVT_DATA_SENT, _acknowledge),
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_RELEASED, self._conclude),
            (evt.EVT_ABORTED, self._conclude),
        ]
        address = (self.settings.dicom_host, self.settings.dicom_port)
        try:
            self._server = self._ae.start_server(address, block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        except OSError as error:
            tempfile.tempdir = self._tempdir
            raise InvalidRequest(f"Nobody can listen on {address[0]}:{address[1]}: {error.strerror}.") from None
        ASSOCIATIONS.set_function(lambda: self.n_associations)
        log.info("listening for C-STORE on port %d for %s", self.port, ", ".join(sorted(self.titles)) or "nobody yet")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
        for association in self._ae.active_associations:
            _end(association)
        until = time.monotonic() + STOP_S
        while self.n_associations and time.monotonic() < until:
            time.sleep(0.01)
        ASSOCIATIONS.set(0)
        tempfile.tempdir = self._tempdir

    def _admit(self, event: evt.Event) -> None:
        """Let a caller in by making the title it called ours; whatever happens otherwise, it is refused."""
        request = cast(A_ASSOCIATE, event.assoc.requestor.primitive)
        called, calling = request.called_ae_title.strip(), request.calling_ae_title.strip()
        name, site = self.titles.get(called, ("", None))
        if site is None:
            self._refuse(event.assoc, CALLED_UNKNOWN, f"{_show(called)} is no site's title")
        elif calling not in site.callers:
            self._refuse(event.assoc, CALLING_UNKNOWN, f"{_show(calling)} may not call {called}")
        else:
            batch = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
            self._visits[event.assoc] = IncomingAssociation(name, calling, batch)
            event.assoc.acceptor.ae_title = called

    def _refuse(self, association: Association, reason: tuple[int, int, int], why: str) -> None:
        log.warning("refused an association: %s", why)
        REFUSED.labels("dimse", "association").inc()
        association.acse.send_reject(*reason)
        association.kill()

    def _store(self, event: evt.Event) -> int:
        """Answer success only once the object is in the inbox and synced to disk."""
        visit, draft = self._visits[event.assoc], Path(event.dataset_path)
        try:
            if not has_room(self.settings, draft.stat().st_size):
                raise OSError("the disk is too full")
            uid = str(cast(C_STORE, event.request).AffectedSOPInstanceUID)
            self.arrivals.deliver([ArrivedObject(draft, uid)], visit.site, visit.batch)
        except OSError:
            log.error("an object for %s is refused: too little free disk", visit.site)
            REFUSED.labels("dimse", "disk").inc()
            return OUT_OF_RESOURCES
        visit.n_objects += 1
        RECEIVED.labels(visit.site, "dimse").inc()
        return STORED

    def _conclude(self, event: evt.Event) -> None:
        visit = self._visits.pop(event.assoc, None)
        if visit is not None:
            how = "ended" if event.event is evt.EVT_RELEASED else "was broken off"
            log.info("an association of %s for %s %s: %d objects", visit.caller, visit.site, how, visit.n_objects)
        self.arrivals.sweep(2 * NETWORK_TIMEOUT_S)


def _make_entity() -> AE:
    # Nobody can guess this title; it is replaced for those who are admitted. So whatever goes wrong refuses.
    entity = AE(secrets.token_hex(8))
    entity.require_called_aet = True
    entity.maximum_associations = MOST_ASSOCIATIONS
    entity.maximum_pdu_size = PDU_BYTES
    entity.network_timeout = NETWORK_TIMEOUT_S
    entity.acse_timeout = REQUEST_TIMEOUT_S
    entity.add_supported_context(Verification)
    return entity


def _end(association: Association) -> None:
    """Abort an association; one whose peer has not asked for anything yet is woken, for it waits for that."""
    if association.is_established:
        association.abort()
    elif association.dul.socket is not None:
        association.dul.socket.close()
        association.dul.to_user_queue.put(None)  # type: ignore[arg-type] # what it gets where nothing comes in time


def _acknowledge(event: evt.Event) -> None:
    """Keep TCP from delaying its acknowledgements: a peer with Nagle's algorithm waits 40 ms for each (RFC 896, 1122).

    Linux forgets the setting, so it is repeated with every unit.
    """
    connection = event.assoc.dul.socket.socket if event.assoc.dul.socket else None
    if connection is not None:
        with suppress(OSError):  # closed in this moment
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _show(title: str) -> str:
    return repr(title) if AE_TITLE.fullmatch(title) else "a malformed title"
