"""The catalog service: ``python -m aurelius_catalog.service``, started by the hub."""

from __future__ import annotations

from aurelius_catalog.hosting.host import run_service
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.service.app import create_app
from aurelius_catalog.service.stores import read_settings
from aurelius_catalog.service.stow import clear_arrivals

if __name__ == "__main__":
    open_engine(read_settings())  # migrates the index before the first request
    clear_arrivals(read_settings())
    run_service(create_app())
