"""Where a host is, how it is connected to, and in which words that fails."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from airfleet.errors import HostKeyRefused, HostUnreachable
from airfleet.openssh import proxy_words
from airfleet.proxy_command import ProxyFailed
from airfleet.transport import VerifiedConnection, make_config

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Address:
    """Where a host is and how to get in; `user` and `port` None leave it to the ssh config."""

    host: str
    user: str | None
    port: int | None
    identity: Path | None
    ssh_config: Path | None
    known_hosts: Path
    connect_timeout_s: int
    jumps: tuple[str, ...] = ()
    proxy_command: str | None = None


def connect(name: str, address: Address) -> VerifiedConnection:
    """Return an open connection to the host of this name, or raise HostKeyRefused or HostUnreachable, saying why."""
    a = address
    options: dict[str, Any] = {"banner_timeout": a.connect_timeout_s, "auth_timeout": 2 * a.connect_timeout_s}
    if a.identity is not None:
        options |= {"key_filename": [str(a.identity)], "allow_agent": False, "look_for_keys": False}
    config = make_config(a.ssh_config)

    def to(place: str, gateway: object, **more: Any) -> VerifiedConnection:
        kept = {"connect_timeout": a.connect_timeout_s, "connect_kwargs": options}
        return VerifiedConnection(place, config=config, gateway=gateway, **kept, **more).trusting(a.known_hosts)

    gateway: Any = None
    if a.proxy_command:
        gateway = shlex.join(proxy_words(a.proxy_command, {"n": name}))
    for jump in a.jumps:
        gateway = to(jump, gateway)
    connection = to(a.host, gateway, user=a.user, port=a.port)
    try:
        *jumps, last = connection.way()
        for jump in jumps:
            _open(jump, f"the jump host {_place(jump)}", name, a)
        _open(last, _place(last), name, a)
    except BaseException:
        connection.close()
        raise
    return connection


def _place(connection: VerifiedConnection) -> str:
    return f"{connection.user}@{connection.host}:{connection.port}"


def _open(connection: VerifiedConnection, where: str, name: str, a: Address) -> None:
    try:
        connection.open()
    except paramiko.BadHostKeyException as e:
        raise HostKeyRefused(
            f"the host key of {where} is not the one that is trusted: it shows {e.key.fingerprint}",
            place=name,
            remedy=f"find out why before anything else; a rebuilt host: replace its line in {a.known_hosts}",
            state="no command was sent to it",
        ) from e
    except paramiko.AuthenticationException as e:
        raise HostUnreachable(
            f"{where} refuses the login: {e}", place=name, remedy="check ssh.user and ssh.identity"
        ) from e
    except ProxyFailed as e:
        raise HostUnreachable(
            f"no way to {where}: {e}", place=name, remedy="install that program, or mend ssh.proxy_command"
        ) from e
    except paramiko.ChannelException as e:
        raise HostUnreachable(
            f"{where} is not reachable from the jump host: {e.text}",
            place=name,
            remedy="is it up, and the address right as the jump host sees it?",
        ) from e
    except paramiko.SSHException as e:
        if "not found in known_hosts" in str(e):
            raise HostKeyRefused(
                f"the host key of {where} is unknown",
                place=name,
                remedy=f"compare it by another way, then add it to {a.known_hosts} (ssh-keyscan prints it;"
                " fab host-keys asks Google)",
                state="no command was sent to it",
            ) from e
        remedy = "what does the proxy command say when you type it?" if connection.proxy else "is sshd well there?"
        raise HostUnreachable(f"no SSH with {where}: {e}{connection.last_words()}", place=name, remedy=remedy) from e
    except (OSError, EOFError) as e:
        first = next(iter(e.errors.values())) if isinstance(e, NoValidConnectionsError) else e
        reason = "no answer in time" if isinstance(first, TimeoutError) else _said(first)
        raise HostUnreachable(
            f"{where} is not reachable: {reason}{connection.last_words()}",
            place=name,
            remedy="is it up, and the address right?",
        ) from e


def _said(error: Exception) -> str:
    """Return what an error says, for a human: of the system's own, its words alone."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
