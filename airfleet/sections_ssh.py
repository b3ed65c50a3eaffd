"""The section `ssh` of the inventory: how the hosts are reached."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from airfleet import patterns
from airfleet.sections import Line, LocalPath, Login, Port, Seconds, Section


class Ssh(Section):
    """How the hosts are reached."""

    user: Login | None = Field(
        default=None, description="user name on the hosts; default: the ssh config's, else your own"
    )
    port: Port | None = Field(default=None, description="port of sshd; default: the ssh config's, else 22")
    identity: LocalPath | None = Field(
        default=None, description="private key file; default: the ssh config's, then your agent"
    )
    config: LocalPath = Field(
        default=Path("~/.ssh/config"), description="ProxyJump, ProxyCommand, HostName, User … in it are honoured"
    )
    known_hosts: LocalPath = Field(
        default=Path("~/.ssh/known_hosts"),
        description="host keys that are trusted; an unknown or changed key is refused",
    )
    proxy_jump: Annotated[str, Field(pattern=patterns.JUMP)] | None = Field(
        default=None, description="`user@bastion:port` for all hosts; several, the first first: `one,two`"
    )
    proxy_command: Line | None = Field(
        default=None,
        description="a program that leads to a host: `%h` is its address, `%p` port, `%r` user, `%n` name here",
    )
    connect_timeout_s: Seconds = Field(default=10, description="how long to wait for a host to answer")
    parallel: Annotated[int, Field(ge=1, le=256)] = Field(
        default=16, description="hosts that are worked on at the same time"
    )
    confirm_s: Annotated[int, Field(ge=0, le=86400)] = Field(
        default=180,
        description="after a change a host goes back by itself unless it is confirmed over a new connection within this"
        " time; 0: never",
    )

    @property
    def jumps(self) -> tuple[str, ...]:
        """The jump hosts, in the order in which they are passed."""
        return tuple(self.proxy_jump.split(",")) if self.proxy_jump else ()
