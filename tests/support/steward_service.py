"""The routes of vault and withdrawals alone on the shared host, for the tests of their commands."""

from __future__ import annotations

from aurelius_catalog.hosting.host import create_service, mount_router, run_service
from aurelius_intake.vault import api as vault
from aurelius_intake.withdrawal import api as withdrawal

if __name__ == "__main__":
    app = create_service("intake")
    for each in (vault, withdrawal):
        mount_router(app, each.router)
    run_service(app)
