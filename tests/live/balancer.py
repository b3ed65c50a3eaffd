"""A load balancer for two servers, as a program for a test machine: a new connection goes to one that is well.

As Google's does it, each server is asked for its health now and then: one that starts listens long before it answers.

python3 - PORT PATH SERVER:PORT SERVER:PORT
"""

from __future__ import annotations

import asyncio
import itertools
import sys

CONNECT_S, CHECK_S, EVERY_S = 1, 3, 0.5


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def connected(server):
    host, _, port = server.partition(":")
    return await asyncio.wait_for(asyncio.open_connection(host, int(port)), CONNECT_S)


async def healthy(server, path):
    reader, writer = await connected(server)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n".encode())
        return b" 200 " in await asyncio.wait_for(reader.readline(), CHECK_S)
    finally:
        writer.close()


async def watch(server, path, well):
    while True:
        try:
            fine = await healthy(server, path)
        except (TimeoutError, OSError):
            fine = False
        (well.add if fine else well.discard)(server)
        await asyncio.sleep(EVERY_S)


async def main(port, path, servers):
    turns, well = itertools.cycle(range(len(servers))), set()
    watching = [asyncio.create_task(watch(server, path, well)) for server in servers]

    async def serve(reader, writer):
        first = next(turns)
        for server in sorted(servers[first:] + servers[:first], key=lambda each: each not in well):
            try:
                back, forth = await connected(server)
            except (TimeoutError, OSError):
                well.discard(server)
                continue
            await asyncio.gather(pump(reader, forth), pump(back, writer))
            return
        writer.close()

    listening = await asyncio.start_server(serve, "0.0.0.0", port)
    async with listening:
        await asyncio.gather(listening.serve_forever(), *watching)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
