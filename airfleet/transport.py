"""Fabric's connection with the host's key verified, its jump hosts' keys as well, and dead links noticed."""

from __future__ import annotations

import os
import socket
import threading
from functools import cache
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection

from airfleet.openssh import proxy_words
from airfleet.proxy_command import ProxyFailed, ProxySocket

SSH_PORT = 22
KEEPALIVE_S = 10
DEAD_AFTER_S = 40
TIMEOUTS = ("banner_timeout", "auth_timeout")
_reading = threading.Lock()


class VerifiedConnection(Connection):  # type: ignore[misc]
    """A connection that is only opened to a host whose key is known: Fabric itself accepts any key.

    Honours the ssh config's UserKnownHostsFile, HostKeyAlias, ProxyJump and ProxyCommand.
    """

    gateway: Any
    connect_kwargs: Any
    proxy: ProxySocket | None = None

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
        name = self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"
        for kind, key in self._trusted(name).items():
            keys.add(name, kind, key)
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self.connect_kwargs = {**self.connect_kwargs, "transport_factory": prompt_transport}
        try:
            result = super().open()
        except BaseException:
            self.client.close()
            self._end_proxy()
            raise
        self.transport.set_keepalive(KEEPALIVE_S)
        return result

    def _trusted(self, name: str) -> dict[str, paramiko.PKey]:
        """Return the host's keys by their kinds: its alias' before its own, and of each the first file's."""
        named = str(self.ssh_config.get("userknownhostsfile", "")).split()
        files = [_host_keys(path) for path in [str(self.known_hosts), *map(os.path.expanduser, named)]]
        alias = self.ssh_config.get("hostkeyalias")
        found: dict[str, paramiko.PKey] = {}
        for each in (alias, name) if alias else (name,):
            for file in files:
                found = {**(file.lookup(each) or {}), **found}
        return found

    def way(self) -> list[VerifiedConnection]:
        """Return what has to be opened, in this order: the jump hosts on the way, then the connection itself."""
        gateway: Any = self.gateway
        if isinstance(gateway, Connection) and not isinstance(gateway, VerifiedConnection):
            jump = VerifiedConnection(
                gateway.host,
                user=gateway.user,
                port=gateway.port,
                config=gateway.config,
                gateway=gateway.gateway,
                connect_timeout=self.connect_timeout,
                connect_kwargs={key: self.connect_kwargs[key] for key in TIMEOUTS if key in self.connect_kwargs},
            )
            self.gateway = jump.trusting(self.known_hosts)
        return [*(self.gateway.way() if isinstance(self.gateway, VerifiedConnection) else ()), self]

    def open_gateway(self) -> Any:
        """Return the socket of a ProxyCommand, or the channel through a jump host."""
        if isinstance(self.gateway, str):
            tokens = {"h": self.host, "p": str(self.port), "r": self.user, "%": "%"}
            try:
                words = proxy_words(self.gateway, tokens)
            except ValueError as e:
                raise ProxyFailed(f"the proxy command can't be read: {e}") from e
            self.proxy = ProxySocket(words)
            return self.proxy
        # Fabric would wait for the jump host as long as that waits for the host.
        place = (self.host, int(self.port))
        return self.gateway.transport.open_channel("direct-tcpip", place, ("", 0), timeout=self.connect_timeout)

    def last_words(self) -> str:
        """Return what the ProxyCommand on the way has said last, for a message: empty, or a clause that follows one."""
        said = [hop.proxy.said() for hop in self.way() if hop.proxy]
        return "".join(f"; the proxy command said: {each}" for each in said if each)

    def close(self) -> None:
        """End the connection, and what led to it."""
        super().close()
        self._end_proxy()
        if isinstance(self.gateway, VerifiedConnection):
            self.gateway.close()

    def _end_proxy(self) -> None:
        if self.proxy:
            self.proxy.close()


def _host_keys(path: str) -> paramiko.HostKeys:
    """Return the host keys in a file, which may be missing; hosts by the hundred share one reading of it."""
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return paramiko.HostKeys()
    with _reading:
        return _read_keys(path, found.st_ino, found.st_size, found.st_mtime_ns)


@cache
def _read_keys(path: str, *_state: int) -> paramiko.HostKeys:
    return paramiko.HostKeys(path)


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
