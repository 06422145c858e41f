"""The identity of a page's viewer: from the hub by OAuth, handed to the kernel in a header that only we write."""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.auth import User
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from jupyterhub.services.auth import HubOAuth
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider

#: Header in which a page request carries its person to the kernel; what a client sends is discarded.
PERSON_HEADER = "X-Aurelius-Person"
#: Seconds the hub's answer about a login is believed: a group taken away works for so long.
CACHE_S = 30


class HubIdentity(JupyterHubIdentityProvider):
    """Hub login for stand-alone Voila, which has no hub integration of its own."""

    def __init__(self, **keywords: Any) -> None:
        # Voila passes a token and a login page of its own; both come from the hub here.
        keywords.pop("token", None)
        keywords.pop("login_handler_class", None)
        super().__init__(**keywords, hub_auth=HubOAuth(cache_max_age=CACHE_S))

    async def get_user(self, handler: JupyterHandler) -> User | None:
        """Return the hub's user, and write name and groups into the request for the kernel.

        The claim is JSON, so that no character in a group's name can become a second group.
        """
        handler.request.headers.pop(PERSON_HEADER, None)
        user = await super().get_user(handler)
        if user is not None:
            claim = {"name": user.username, "groups": sorted(user.hub_user.get("groups") or [])}
            handler.request.headers[PERSON_HEADER] = json.dumps(claim)
        return user

    def get_handlers(self) -> list[tuple[Any, ...]]:
        """Return logout and OAuth callback below the service's prefix."""
        prefix = self.hub_auth.base_url
        return [(url_path_join(prefix, path), *rest) for path, *rest in super().get_handlers()]
