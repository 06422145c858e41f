"""The report service: pages for people, JSON for programs."""
