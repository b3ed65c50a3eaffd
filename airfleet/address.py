"""Where a host is, how it is connected to, and in which words that fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from airfleet.errors import HostKeyRefused, HostUnreachable
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
    proxy_jump: str | None
    connect_timeout_s: int


def connect(name: str, address: Address) -> VerifiedConnection:
    """Return an open connection to the host of this name, or raise HostKeyRefused or HostUnreachable, saying why."""
    a = address
    options: dict[str, Any] = {"banner_timeout": a.connect_timeout_s, "auth_timeout": 2 * a.connect_timeout_s}
    if a.identity is not None:
        options |= {"key_filename": [str(a.identity)], "allow_agent": False, "look_for_keys": False}
    gateway = None
    config = make_config(a.ssh_config)
    if a.proxy_jump:
        gateway = VerifiedConnection(a.proxy_jump, config=config, connect_kwargs=options).trusting(a.known_hosts)
    connection = VerifiedConnection(
        a.host,
        user=a.user,
        port=a.port,
        config=config,
        gateway=gateway,
        connect_timeout=a.connect_timeout_s,
        connect_kwargs=options,
    ).trusting(a.known_hosts)
    where = f"{connection.user}@{connection.host}:{connection.port}"
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
    except paramiko.SSHException as e:
        if "not found in known_hosts" in str(e):
            raise HostKeyRefused(
                f"the host key of {where} is unknown",
                place=name,
                remedy=f"compare it by another way, then add it to {a.known_hosts} (ssh-keyscan prints it)",
                state="no command was sent to it",
            ) from e
        raise HostUnreachable(f"no SSH with {where}: {e}", place=name, remedy="is sshd well there?") from e
    except (OSError, EOFError) as e:
        first = next(iter(e.errors.values())) if isinstance(e, NoValidConnectionsError) else e
        reason = "no answer in time" if isinstance(first, TimeoutError) else _said(first)
        raise HostUnreachable(
            f"{where} is not reachable: {reason}", place=name, remedy="is it up, and the address right?"
        ) from e
    return connection


def _said(error: Exception) -> str:
    """Return what an error says, for a human: of the system's own, its words alone."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
