"""A stand-in for Google's relay of IAP tunnels: gcloud itself talks to it, over TLS, in frames of its own protocol."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import subprocess
import threading
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlparse

from websockets.asyncio.server import serve

if TYPE_CHECKING:
    from pathlib import Path

SID, DATA, ACK = 1, 4, 7  # tags of frames, as gcloud's iap_tunnel_websocket_utils.py has them
CHUNK = 16384
NOT_AUTHORIZED = 4033


class Relay:
    """Leads the instance of this name to a loopback port as long as the block lasts; `asked` has what came."""

    def __init__(self, folder: Path, instance: str, port: int) -> None:
        self.folder, self.instance, self.target = folder, instance, port
        self.asked: list[dict[str, str]] = []
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        certificate = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        words = ["openssl", "req", *certificate, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run(words, cwd=self.folder, capture_output=True, check=True)
        threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True).start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        words = {"ssl": context, "subprotocols": ["relay.tunnel.cloudproxy.app"], "max_size": None}
        words["ping_interval"] = None  # a busy computer's gcloud is late, and this relay takes no tunnel up again
        async with serve(self._tunnel, "127.0.0.1", 0, **words) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._over.wait()

    async def _tunnel(self, web) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlparse(web.request.path).query).items()}
        self.asked.append(asked)
        if asked.get("instance") != self.instance:
            await web.close(NOT_AUTHORIZED, "not authorized")
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        await web.send(_frame(SID, b"sid-1"))

        async def down() -> None:
            while data := await reader.read(CHUNK):
                await web.send(_frame(DATA, data))
            await web.close()

        passing = asyncio.create_task(down())
        got = 0
        with contextlib.suppress(Exception):  # the tunnel was cut: so is what it led to
            async for message in web:
                for data in _data(message):
                    writer.write(data)
                    await writer.drain()
                    got += len(data)
                    await web.send(struct.pack(">HQ", ACK, got))
        passing.cancel()
        writer.close()


def _frame(tag: int, data: bytes) -> bytes:
    return struct.pack(">HI", tag, len(data)) + data


def _data(message: bytes):
    while message:
        (tag,) = struct.unpack(">H", message[:2])
        if tag != DATA:
            message = message[10:]  # an acknowledgement
            continue
        (size,) = struct.unpack(">I", message[2:6])
        yield message[6 : 6 + size]
        message = message[6 + size :]
