"""The catalog over HTTP, and what every HTTP service of the house shares: host and login."""
