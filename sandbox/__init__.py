"""The sandbox: real machines on one computer, with systemd, sshd and addresses of their own."""

from sandbox.fleet import down, status, up
from sandbox.machine import boot, destroy, kill, pause, resume, run_in, running
from sandbox.site import Machine, Site

__all__ = [
    "Machine",
    "Site",
    "boot",
    "destroy",
    "down",
    "kill",
    "pause",
    "resume",
    "run_in",
    "running",
    "status",
    "up",
]
