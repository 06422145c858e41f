"""The routes of vault and withdrawals alone on the shared host, for the tests of their commands."""

from __future__ import annotations

from aurelius_catalog import withdrawal_api
from aurelius_catalog.service.host import create_service, mount_router, run_service
from aurelius_catalog.vault import vault_api

if __name__ == "__main__":
    app = create_service("intake")
    for each in (vault_api, withdrawal_api):
        mount_router(app, each.router)
    run_service(app)
