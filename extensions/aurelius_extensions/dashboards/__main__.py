"""The dashboards service: ``python -m aurelius_extensions.dashboards``."""

from aurelius_extensions.dashboards.server.app import main

main()
