"""The way that airfleet replaces: a unit as one writes it first, `git pull`, and a restart of everything."""

from __future__ import annotations

UNIT_PATH = "/etc/systemd/system/airflow-worker@.service"
CHECKOUT = "/home/airflow/checkout"
UNIT = """\
[Unit]
Description=Airflow Celery Worker %i
After=network.target postgresql.service redis-server.service
Wants=redis-server.service
Documentation=https://airflow.apache.org/docs/

[Service]
User=airflow
Group=airflow
Type=simple
EnvironmentFile=/home/airflow/airflow/environment
ExecStart=/home/airflow/.pyenv/versions/.venv/bin/celery -A airflow.providers.celery.executors.celery_executor.app \
worker --loglevel INFO -E --hostname 'worker%i@%H' --queues default
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
"""


def use_its_units(installation):
    """Put that unit in the place of airfleet's on every host, and start the workers from it."""
    for name in ("af1", "af2"):
        installation.on(name, "tee", UNIT_PATH, stdin=UNIT)
        installation.on(name, "systemctl", "daemon-reload")
        installation.on(name, "systemctl", "restart", "airflow-worker@1", "airflow-worker@2")


def deploy(installation):
    """Bring the newest code and restart every service, as that way has it."""
    for name in ("af1", "af2"):
        owner = ["runuser", "-u", "airflow", "--"]
        installation.on(name, *owner, "git", "clone", "--quiet", "/home/airflow/dags/mirror.git", CHECKOUT)
        installation.on(name, *owner, "git", "-C", CHECKOUT, "pull", "--quiet", "origin", "main")
    web = f"airflow-{installation.web_service}"
    units = ["airflow-worker@1", "airflow-worker@2"]
    installation.on("af2", "systemctl", "restart", *units)
    installation.on("af1", "systemctl", "restart", *units, "airflow-scheduler", web, "airflow-flower")


def undo(installation):
    """Take away what this way left; the units are `fab bootstrap`'s to mend."""
    for name in ("af1", "af2"):
        installation.on(name, "rm", "-rf", CHECKOUT)
