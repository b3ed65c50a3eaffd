"""Where things are on a host: the one place that knows the paths. Nothing is looked at and nothing is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airfleet.inventory import Inventory

UNITS = "/etc/systemd/system"
REDIS_CONF = "/etc/redis/redis.conf"
REDIS_DATA = "/var/lib/redis"
REDIS_DROP_IN = f"{UNITS}/redis-server.service.d/airfleet.conf"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one installation: `account_home` is the account's home folder, `home` is AIRFLOW_HOME."""

    account_home: str
    home: str

    @property
    def config(self) -> str:
        """airflow.cfg."""
        return f"{self.home}/airflow.cfg"

    @property
    def environment(self) -> str:
        """What systemd gives to every service as its environment."""
        return f"{self.home}/environment"

    @property
    def database_ca(self) -> str:
        """The certificate of the authority that the database server is known by."""
        return f"{self.home}/database-ca.pem"

    @property
    def webserver_config(self) -> str:
        """Flask's configuration of the web pages."""
        return f"{self.home}/webserver_config.py"

    @property
    def modules(self) -> str:
        """A folder that Airflow itself puts on Python's path."""
        return f"{self.home}/config"

    @property
    def host_module(self) -> str:
        """The module by which this host knows its own address."""
        return f"{self.modules}/airfleet_host.py"

    @property
    def logs(self) -> str:
        """Task logs."""
        return f"{self.home}/logs"

    @property
    def plugins(self) -> str:
        """Airflow plugins."""
        return f"{self.home}/plugins"

    @property
    def pyenv(self) -> str:
        """Where pyenv is."""
        return f"{self.account_home}/.pyenv"

    @property
    def versions(self) -> str:
        """The Pythons and the virtual environments."""
        return f"{self.pyenv}/versions"

    @property
    def venv(self) -> str:
        """The link to the virtual environment in use."""
        return f"{self.versions}/.venv"

    @property
    def bin(self) -> str:
        """The programs of the virtual environment in use."""
        return f"{self.venv}/bin"

    @property
    def dags(self) -> str:
        """The DAG code: the mirror, the releases and the link to the current one."""
        return f"{self.account_home}/dags"

    @property
    def mirror(self) -> str:
        """The bare mirror of the DAG repository."""
        return f"{self.dags}/mirror.git"

    @property
    def releases(self) -> str:
        """A tree for each deployed commit."""
        return f"{self.dags}/releases"

    @property
    def ssh(self) -> str:
        """The account's folder of keys."""
        return f"{self.account_home}/.ssh"

    @property
    def deploy_key(self) -> str:
        """The private key that reads the DAG repository."""
        return f"{self.ssh}/airfleet_deploy_key"

    @property
    def git_known_hosts(self) -> str:
        """The host keys of the git server."""
        return f"{self.ssh}/airfleet_known_hosts"

    @property
    def current(self) -> str:
        """The link to the release in use."""
        return f"{self.dags}/current"

    def dags_folder(self, inside: str) -> str:
        """Return where Airflow looks for DAGs; `inside` is the folder in the repository, `.` its root."""
        return self.current if inside == "." else f"{self.current}/{inside}"


def layout_of(inventory: Inventory) -> Layout:
    """Return the paths of this installation."""
    return Layout(account_home=inventory.airflow.account_home, home=inventory.airflow.home)


def venv_target(venv_digest: str) -> str:
    """Return what the link to the virtual environment in use says, for an environment with this digest."""
    return f"airflow-{venv_digest}"


def release_target(commit: str) -> str:
    """Return what the link to the release in use says, for the release of this commit."""
    return f"releases/{commit}"
