"""Fabric's connection with the host's key verified, its jump hosts' keys as well, and dead links noticed."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import paramiko
from fabric import Config, Connection

if TYPE_CHECKING:
    from pathlib import Path

SSH_PORT = 22
KEEPALIVE_S = 10
DEAD_AFTER_S = 40


class VerifiedConnection(Connection):  # type: ignore[misc]
    """A connection that is only opened to a host whose key is known: Fabric itself accepts any key.

    Honours the ssh config's UserKnownHostsFile, HostKeyAlias, ProxyJump and ProxyCommand.
    """

    gateway: Any
    connect_kwargs: Any

    def trusting(self, known_hosts: Path) -> VerifiedConnection:
        """Name the file of host keys that are trusted; returns itself."""
        self.known_hosts = known_hosts
        return self

    def open(self) -> Any:
        """Connect, or raise what paramiko raises; an unknown key is refused before anything is sent."""
        if self.is_connected:
            return None
        keys = self.client.get_host_keys()
        keys.clear()
        named = str(self.ssh_config.get("userknownhostsfile", "")).split()
        for path in [str(self.known_hosts), *map(os.path.expanduser, named)]:
            with contextlib.suppress(FileNotFoundError):
                keys.load(path)
        name = self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"
        alias = self.ssh_config.get("hostkeyalias")
        for kind, key in (keys.lookup(alias) or {}).items() if alias else ():
            keys.add(name, kind, key)
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        gateway: Any = self.gateway
        if isinstance(gateway, Connection) and not isinstance(gateway, VerifiedConnection):
            jump = VerifiedConnection(
                gateway.host, user=gateway.user, port=gateway.port, config=gateway.config, gateway=gateway.gateway
            )
            self.gateway = jump.trusting(self.known_hosts)
        self.connect_kwargs = {**self.connect_kwargs, "transport_factory": prompt_transport}
        result = super().open()
        self.transport.set_keepalive(KEEPALIVE_S)
        return result

    def open_gateway(self) -> Any:
        """Return the socket of a ProxyCommand, or the channel through a jump host."""
        if isinstance(self.gateway, str):
            return ProxySocket(self.gateway.replace("%h", self.host).replace("%p", str(self.port)))
        return super().open_gateway()


class ProxySocket:
    """A ProxyCommand behind a socket pair: its end is an end of file, where paramiko's own spins."""

    def __init__(self, command: str) -> None:
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the socket
        self._process = subprocess.Popen(
            shlex.split(command),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=self._stderr,
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours

    def __getattr__(self, name: str) -> Any:
        """Be the socket in everything else."""
        return getattr(self._socket, name)

    def close(self) -> None:
        """Close the socket and end the command."""
        self._socket.close()
        if self._process.poll() is None:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._stderr.close()


def make_config(ssh_config: Path | None) -> Any:
    """Return Fabric's configuration with this ssh config, or with none at all."""
    if ssh_config is None or not ssh_config.exists():
        return Config(overrides={"load_ssh_configs": False})
    return Config(runtime_ssh_path=str(ssh_config))


def prompt_transport(sock: Any, **options: Any) -> paramiko.Transport:
    """Return a transport whose small packets leave at once, and whose kernel gives a dead link up after a while.

    Left to themselves, Nagle's algorithm here and the delayed acknowledgement there cost 40 ms a conversation, and as
    much again at the login; OpenSSH's own client switches it off as well.
    """
    if isinstance(sock, socket.socket) and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        death = getattr(socket, "TCP_USER_TIMEOUT", None)
        if death is not None:
            sock.setsockopt(socket.IPPROTO_TCP, death, DEAD_AFTER_S * 1000)
    return paramiko.Transport(sock, **options)
