"""The machine `svc`, which stands for Google: PostgreSQL as Cloud SQL, Cloud Storage, git by SSH, downloads."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import network
from sandbox.image import GIT_UID, served_image
from sandbox.machine import boot, run_in
from sandbox.personal import disk_of, host_key, public_key
from sandbox.site import SVC, Machine, Site, write_whole
from sandbox.sources import dag_repository, www
from sandbox.storage import write_storage

if TYPE_CHECKING:
    from collections.abc import Callable

HTTP_PORT = 8000
DAGS_PATH = "/srv/git/dags.git"
WWW_PATH = "/srv/www"
DATABASE = ROLE = "airflow"

WWW_UNIT = """[Unit]
Description=what a machine would download from the internet
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/python3 -m http.server {port} --bind {address} --directory {path}
DynamicUser=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
Restart=always

[Install]
WantedBy=multi-user.target
"""

AFTER_NETWORK = "[Unit]\nWants=network-online.target\nAfter=network-online.target\n"

SQL = """\\set ON_ERROR_STOP on
SELECT 'CREATE ROLE {role} LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec
ALTER ROLE {role} CREATEDB PASSWORD '{password}';
SELECT 'CREATE DATABASE {database} OWNER {role}'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec
"""


def boot_svc(site: Site, say: Callable[[str], None]) -> Machine:
    """The machine `svc`, running, with its role, its database and its repositories."""
    www(site).mkdir(parents=True, exist_ok=True)
    machine = boot(SVC, site=site, image=served_image, binds={www(site): WWW_PATH}, prepare=_write_services, say=say)
    _make_database(site)
    return machine


def database_password(site: Site) -> str:
    """The password of Airflow's role, made once for the site and kept in a file of mode 0600."""
    path = site.state / "services" / "passwords.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"database_password": secrets.token_urlsafe(24)}), mode=0o600)
    password: str = json.loads(path.read_text())["database_password"]
    return password


def dags_url(machine: Machine) -> str:
    """The address of the DAG repository."""
    return f"ssh://git@{machine.address}{DAGS_PATH}"


def http_url(machine: Machine) -> str:
    """The address of the served folder."""
    return f"http://{machine.address}:{HTTP_PORT}"


def git_known_host(site: Site, machine: Machine) -> str:
    """The line that a git client needs to trust svc."""
    return f"{machine.address} {host_key(site, machine)}"


def _write_services(site: Site, machine: Machine) -> None:
    """The files of the services on a disk that has not booted yet."""
    disk = disk_of(site, machine)
    unit = WWW_UNIT.format(port=HTTP_PORT, address=machine.address, path=WWW_PATH)
    disk.file("etc/systemd/system/www.service", unit)
    wants = disk.folder("etc/systemd/system/multi-user.target.wants")
    (wants / "www.service").symlink_to("/etc/systemd/system/www.service")
    write_storage(disk, machine.address)
    disk.file("etc/systemd/system/postgresql@.service.d/network.conf", AFTER_NETWORK)
    disk.folder(WWW_PATH.lstrip("/"))
    home = "srv/git"
    disk.folder(f"{home}/.ssh", mode=0o700, owner=GIT_UID)
    disk.file(f"{home}/.ssh/authorized_keys", public_key(site.deploy_key), mode=0o600, owner=GIT_UID)
    repository = disk.folder(home) / "dags.git"
    shutil.copytree(dag_repository(site), repository)
    _give(repository, GIT_UID)
    cluster = next((disk.image / "etc/postgresql").glob("*/main")).relative_to(disk.image)
    rules = (disk.image / cluster / "pg_hba.conf").read_text()
    rules += f"host all {ROLE} {network.subnet_of(site)} scram-sha-256\n"
    disk.file(f"{cluster}/pg_hba.conf", rules)
    listen = f"listen_addresses = 'localhost,{machine.address}'\npassword_encryption = 'scram-sha-256'\n"
    disk.file(f"{cluster}/conf.d/airfleet.conf", listen)


def _make_database(site: Site) -> None:
    words = SQL.format(role=ROLE, database=DATABASE, password=database_password(site))
    run_in(SVC, ["runuser", "-u", "postgres", "--", "psql", "-q", "-X", "-d", "postgres"], stdin=words, site=site)


def _give(top: Path, owner: int) -> None:
    for folder, _, files in os.walk(top):
        os.chown(folder, owner, owner)
        for name in files:
            os.chown(Path(folder) / name, owner, owner)
