"""An SSH server of the tests' own that lets one key in, and runs what it is asked for on a host that has nothing."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from typing import Self

import paramiko

CHUNK = 32768


class Sshd:
    """Listens on a loopback port as long as the block lasts; `asked` has the commands that came.

    `led_to` has the places to which it was a jump host; a `silent` one does not get there.
    """

    def __init__(self, user: str, key: paramiko.PKey, words) -> None:
        """Let this user in with this public key; `words` makes of a command line the argument list that is run."""
        self.user, self.key, self.words = user, key, words
        self.own = paramiko.ECDSAKey.generate()
        self.asked: list[str] = []
        self.led_to: list[tuple[str, int]] = []
        self.silent = False
        self._open: list[paramiko.Channel] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def line(self) -> str:
        """The line of a known_hosts file."""
        return f"[127.0.0.1]:{self.port} {self.own.get_name()} {self.own.get_base64()}"

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        transport = paramiko.Transport(connection)
        transport.add_server_key(self.own)
        login = _Login(self)
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=login)
            while (channel := transport.accept(60)) is not None:
                self._open.append(channel)  # paramiko itself has a weak reference alone, and one that is lost is closed
                login.lead(channel)

    def run(self, channel: paramiko.Channel, command: str) -> None:
        """Run a command, and pass on what it reads and says."""
        self.asked.append(command)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(self.words(command), **pipes) as child:
            threads = [
                threading.Thread(target=_copy, args=(child.stdout.read1, channel.sendall), daemon=True),
                threading.Thread(target=_copy, args=(child.stderr.read1, channel.sendall_stderr), daemon=True),
            ]
            for thread in threads:
                thread.start()
            threading.Thread(target=_feed, args=(channel, child.stdin), daemon=True).start()
            for thread in threads:
                thread.join()
            with contextlib.suppress(OSError, EOFError):
                channel.send_exit_status(child.wait())
                channel.close()


class _Login(paramiko.ServerInterface):
    def __init__(self, sshd: Sshd) -> None:
        self.sshd = sshd
        self.led: dict[int, socket.socket] = {}

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        known = (username, key) == (self.sshd.user, self.sshd.key)
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        """A jump host: what its sshd leads to is asked for by (address, port)."""
        self.sshd.led_to.append(destination)
        if self.sshd.silent:
            threading.Event().wait()
        try:
            way = socket.create_connection(destination, timeout=20)
        except OSError:
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        self.led[chanid] = way
        return paramiko.OPEN_SUCCEEDED

    def lead(self, channel: paramiko.Channel) -> None:
        """Pass on what goes both ways through a channel that leads elsewhere."""
        way = self.led.pop(channel.get_id(), None)
        if way:
            for read, write, end in (
                (way.recv, channel.sendall, channel.close),
                (channel.recv, way.sendall, way.close),
            ):
                threading.Thread(target=_copy, args=(read, write, end), daemon=True).start()

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=self.sshd.run, args=(channel, command.decode()), daemon=True).start()
        return True


def _copy(read, write, end=None) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := read(CHUNK):
            write(data)
    if end:
        end()


def _feed(channel: paramiko.Channel, stdin) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := channel.recv(CHUNK):
            stdin.write(data)
            stdin.flush()
        stdin.close()
