"""A service that only says who is asking: stands for the real ones where a test is about the hub."""

from __future__ import annotations

import asyncio
import os
import signal
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated
from tornado import web

PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"]


class Who(HubOAuthenticated, web.RequestHandler):
    @web.authenticated
    def get(self) -> None:
        user = self.get_current_user()
        self.write({"name": user["name"], "groups": user["groups"], "scopes": user["scopes"]})


class Environment(web.RequestHandler):
    def get(self) -> None:
        self.write({"names": sorted(os.environ)})


class Health(web.RequestHandler):
    def get(self) -> None:
        self.write({"status": "ok"})


async def serve() -> None:
    app = web.Application(
        [
            (f"{PREFIX}oauth_callback", HubOAuthCallbackHandler),
            (f"{PREFIX}health", Health),
            (f"{PREFIX}environment", Environment),
            (f"{PREFIX}.*", Who),
        ],
        cookie_secret=os.urandom(32),
    )
    app.listen(urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port or 0, "127.0.0.1")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(serve())
