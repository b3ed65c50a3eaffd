"""A real SSH transport between two ends in this process: ours, and a host that lets anybody in."""

from __future__ import annotations

import contextlib
import socket
import threading

import paramiko


class Anybody(paramiko.ServerInterface):
    """Lets anybody in."""

    def check_auth_none(self, username):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED


@contextlib.contextmanager
def transports(host):
    """Yield (ours, the host's), logged in; `host` is a ServerInterface and says what it does."""
    ours, theirs = socket.socketpair()
    server, client = paramiko.Transport(theirs), paramiko.Transport(ours)
    server.add_server_key(paramiko.ECDSAKey.generate())
    threading.Thread(target=server.start_server, kwargs={"server": host}, daemon=True).start()
    client.start_client(timeout=20)
    client.auth_none("ops")
    yield client, server
    client.close()
    server.close()
