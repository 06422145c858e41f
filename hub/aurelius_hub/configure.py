"""The configuration of JupyterHub, in small functions that set one thing each."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aurelius_hub.claims import list_endpoints, read_groups
from aurelius_hub.environment import drop_handed_on
from aurelius_hub.node import PROXY_MEMORY, find_proxy
from aurelius_hub.roles import SERVER_TOKEN_SCOPES, build_roles, find_landing, role_groups
from aurelius_hub.secretfile import make_private_folder, read_or_create
from aurelius_hub.services import build_services
from aurelius_hub.settings import HubSettings
from aurelius_hub.spawner import build_notebook_environment, prepare_home

if TYPE_CHECKING:
    from traitlets.config import Config

TEMPLATES = Path(__file__).parent / "templates"

NO_ROLE = (
    "You are who you say you are, but you have no role in Aurelius. "
    "Ask the data steward or the operator of your institute to give you one."
)


def configure(c: Config, settings: HubSettings) -> None:
    """Set everything the hub needs on ``c``."""
    os.umask(0o077)
    make_private_folder(settings.hub_state)
    make_private_folder(settings.logs)
    update_hub(c, settings)
    update_proxy(c, settings)
    update_login(c, settings)
    update_pages(c)
    update_roles(c)
    update_spawner(c, settings)
    update_services(c, settings)
    drop_handed_on(os.environ)


def update_hub(c: Config, settings: HubSettings) -> None:
    """Set addresses and the files of the hub itself."""
    c.JupyterHub.bind_url = f"http://{settings.bind_address}:{settings.port}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings.hub_port}"
    if settings.public_url:
        c.JupyterHub.public_url = settings.address + "/"
    c.JupyterHub.db_url = f"sqlite:///{settings.hub_state / 'jupyterhub.sqlite'}"
    c.JupyterHub.cookie_secret_file = str(settings.hub_state / "cookie_secret")
    c.JupyterHub.oauth_token_expires_in = settings.session_s
    c.JupyterHub.tornado_settings = {"cookie_options": {"SameSite": "Lax"}}
    c.JupyterHub.cleanup_servers = True
    c.JupyterHub.cleanup_proxy = True


def update_proxy(c: Config, settings: HubSettings) -> None:
    """Set the proxy's program and the port of its own interface."""
    c.ConfigurableHTTPProxy.command = find_proxy(settings.repository)
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings.proxy_api_port}"
    c.ConfigurableHTTPProxy.pid_file = str(settings.hub_state / "proxy.pid")
    os.environ.update(PROXY_MEMORY)  # the proxy is given the hub's own environment; services and notebooks are not


def update_login(c: Config, settings: HubSettings) -> None:
    """Set the login: the same for Keycloak and for the loopback issuer, but for the issuer's address."""
    c.JupyterHub.authenticator_class = "aurelius_hub.keycloak.KeycloakAuthenticator"
    c.CryptKeeper.keys = [
        bytes.fromhex(read_or_create(settings.hub_state / "crypt_key", lambda: secrets.token_hex(32)))
    ]
    login = c.KeycloakAuthenticator
    for trait, address in list_endpoints(settings.issuer).items():
        login[trait] = address
    login.client_id = settings.client_id
    login.client_secret = read_client_secret(settings)
    login.enable_pkce = True
    login.scope = ["openid", "profile"]
    login.username_claim = "preferred_username"
    # The name becomes a folder below homes/.
    login.username_pattern = r"[a-z0-9][a-z0-9._-]{0,63}"
    login.manage_groups = True
    login.auth_state_groups_key = read_groups
    login.allowed_groups = role_groups()
    login.enable_auth_state = True
    login.auth_refresh_age = settings.auth_refresh_s
    login.auto_login = True
    login.custom_403_message = NO_ROLE
    if settings.public_url:
        login.oauth_callback_url = f"{settings.address}/hub/oauth_callback"


def read_client_secret(settings: HubSettings) -> str:
    """Return the hub's secret at the issuer, made once per home."""
    return read_or_create(settings.hub_state / "client_secret", lambda: secrets.token_urlsafe(32))


def update_pages(c: Config) -> None:
    """Set the pages in the house's name, and the place each person lands on."""
    c.JupyterHub.template_paths = [str(TEMPLATES)]
    c.JupyterHub.default_url = choose_landing


def choose_landing(handler: Any) -> str:
    """Return the page to show after login; empty, where nobody is logged in, means the login."""
    user = handler.current_user
    return find_landing(group.name for group in user.orm_user.groups) if user else ""


def update_roles(c: Config) -> None:
    """Set who may do what."""
    c.JupyterHub.load_roles = build_roles()


def update_spawner(c: Config, settings: HubSettings) -> None:
    """Set how a notebook server is started, and the little it is told."""
    c.JupyterHub.spawner_class = "aurelius_hub.spawner.NotebookSpawner"
    c.NotebookSpawner.home_dir_template = str(settings.state / "homes" / "{username}")
    spawner = c.Spawner
    spawner.cmd = [settings.python, "-m", "jupyterhub.singleuser"]
    spawner.args = list_server_arguments()
    spawner.default_url = "/lab"
    spawner.env_keep = []
    spawner.environment = build_notebook_environment(settings)
    spawner.server_token_scopes = list(SERVER_TOKEN_SCOPES)
    spawner.pre_spawn_hook = prepare_home(settings)
    spawner.start_timeout = 60
    spawner.http_timeout = 60


def list_server_arguments() -> list[str]:
    """Return what every notebook server is told beside its settings (``kernels/server.json``): what not to load.

    Language servers would start programs in the person's folder, and Voila belongs to the dashboards service.
    """
    arguments = [
        "--ServerApp.jpserver_extensions=jupyter_lsp=False",
        "--ServerApp.jpserver_extensions=voila.server_extension=False",
    ]
    # The server refuses root by itself; where the hub runs as root (a container), so do its servers.
    return [*arguments, "--allow-root"] if os.geteuid() == 0 else arguments


def update_services(c: Config, settings: HubSettings) -> None:
    """Set the processes that the hub starts and keeps running."""
    c.JupyterHub.services = build_services(settings)
