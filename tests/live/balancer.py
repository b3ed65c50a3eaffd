"""A load balancer for two servers, as a program for a test machine: a new connection goes to one that takes it.

python3 - PORT SERVER:PORT SERVER:PORT
"""

from __future__ import annotations

import asyncio
import itertools
import sys

CONNECT_S = 1


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main(port, servers):
    turns = itertools.cycle(range(len(servers)))

    async def serve(reader, writer):
        first = next(turns)
        for server in servers[first:] + servers[:first]:
            host, _, at = server.partition(":")
            try:
                back, forth = await asyncio.wait_for(asyncio.open_connection(host, int(at)), CONNECT_S)
            except (TimeoutError, OSError):
                continue
            await asyncio.gather(pump(reader, forth), pump(back, writer))
            return
        writer.close()

    listening = await asyncio.start_server(serve, "0.0.0.0", port)
    async with listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
