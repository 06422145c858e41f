"""The annotation server: MONAI Label's protocol with logins, leases and versions.

Two kinds of process share this package. The server (`aurelius_annotation.server`, main environment) owns people,
cases and labels. The worker (`aurelius_annotation.worker`, annotation environment) holds a MONAI Label app and only
computes. Nothing is imported here, because each has libraries the other has not.
"""

from __future__ import annotations

__all__: list[str] = []
