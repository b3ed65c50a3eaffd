"""Whether other machines can be reached from this one, and what listens here."""

from __future__ import annotations

import errno
import socket
import threading

from airfleet.agent import run

SILENCE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EACCES, errno.EPERM)


def reach(words, tell):
    """Try a TCP connection to each of `places` ([address, port]), at most `timeout_s` long, all at the same time.

    Returns {"results": ["open" | "refused" | "no answer" | "unknown name", …], "listening": [[address, port], …]}.
    """
    results = [None] * len(words["places"])

    def work(number, address, port):
        results[number] = attempt(address, port, words["timeout_s"])

    threads = [
        threading.Thread(target=work, args=(number, address, port))
        for number, (address, port) in enumerate(words["places"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"results": results, "listening": listening()}


def attempt(address, port, timeout_s):
    """Return what became of one connection; nothing is sent over it."""
    try:
        with socket.create_connection((address, port), timeout=timeout_s):
            return "open"
    except (socket.gaierror, ValueError):
        return "unknown name"
    except ConnectionRefusedError:
        return "refused"
    except OSError as e:
        if isinstance(e, socket.timeout) or e.errno in (*SILENCE, errno.ETIMEDOUT):
            return "no answer"
        raise


def listening():
    """Return [address, port] of each TCP socket that listens here; an address may be `*` or `0.0.0.0`."""
    found = []
    for line in run.run(["ss", "-ltnH"], errors=False).splitlines():
        address, _, port = line.split()[3].rpartition(":")
        found.append([address.strip("[]").partition("%")[0], int(port)])
    return found
