"""JupyterHub's configuration. Everything is in ``aurelius_hub.configure``; settings are ``AURELIUS_*`` variables.

Files in ``jupyterhub_config.d/`` beside the state folder's hub files are loaded after it, in order of their names:
the place for what one house needs and no other.
"""

from aurelius_hub import HubSettings, configure
from aurelius_hub.ports import choose_ports

c = get_config()
settings = choose_ports(HubSettings())
configure(c, settings)
for extra in sorted((settings.hub_state / "jupyterhub_config.d").glob("*.py")):
    load_subconfig(str(extra))
