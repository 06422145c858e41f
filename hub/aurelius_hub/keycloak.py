"""Login against Keycloak, or any issuer that serves the same paths and claims."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

from jupyterhub.user import User
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.oauth2 import OAuthLogoutHandler


class LogoutHandler(OAuthLogoutHandler):
    """End the session at the issuer too; with the ID token Keycloak does not ask for a confirmation."""

    _id_token: str | None = None

    async def get(self) -> None:
        """Keep the ID token before the hub forgets the person."""
        user = self.current_user
        state = await user.get_auth_state() if user else None
        self._id_token = (state or {}).get("id_token")
        await super().get()

    async def render_logout_page(self) -> None:
        """Send the browser to the issuer, which sends it back to the login."""
        callback = self.authenticator.get_callback_url(self)
        query = {
            "client_id": self.authenticator.client_id,
            "post_logout_redirect_uri": callback.removesuffix("/oauth_callback") + "/login",
        }
        if self._id_token:
            query["id_token_hint"] = self._id_token
        self.redirect(f"{self.authenticator.logout_redirect_url}?{urlencode(query)}")


class KeycloakAuthenticator(GenericOAuthenticator):
    """GenericOAuthenticator that refreshes each person once at a time.

    A page opens many requests at once. When the access token has expired each would spend the same refresh
    token, and an issuer that lets it be used only once throws all but one of them out.
    """

    logout_handler = LogoutHandler

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refreshed: dict[str, tuple[float, Any]] = {}

    async def refresh_user(self, user: User, handler: Any = None, **kwargs: Any) -> Any:
        """Ask the issuer again for the person's groups; waiters share the answer of the first."""
        asked = time.monotonic()
        async with self._locks[user.name]:
            answered, outcome = self._refreshed.get(user.name, (0.0, None))
            if answered < asked:
                outcome = await super().refresh_user(user, handler, **kwargs)
                self._refreshed[user.name] = (time.monotonic(), outcome)
            return outcome
