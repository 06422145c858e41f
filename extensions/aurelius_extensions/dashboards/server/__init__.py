"""The server of the dashboards: Voila behind the hub's login."""
