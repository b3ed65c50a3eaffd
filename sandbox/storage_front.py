"""On svc, in front of an emulator of Cloud Storage: what Google's service says that the emulator does not.

A missing object is "No such object", as Airflow's handlers of logs want to hear it before they write one; and while the
file DENY is there, every request is refused as to an account without a role.

Run as: storage_front.py ADDRESS PORT BEHIND
"""

from __future__ import annotations

import http.client
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DENY = Path("/run/storage-denied")
DENIED = "drill@x.iam.gserviceaccount.com does not have storage.objects.{what} access to the Cloud Storage object."
DONT_PASS = {"connection", "transfer-encoding", "keep-alive"}
WHAT = {"POST": "create", "PUT": "create", "DELETE": "delete", "GET": "get"}


class Front(BaseHTTPRequestHandler):
    """Hands a request on to the emulator, and its answer back."""

    protocol_version = "HTTP/1.1"
    behind = 0

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if DENY.exists():
            self._answer(403, *_error(403, DENIED.format(what=WHAT.get(self.command, "get"))))
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in DONT_PASS:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            headers, text = answer.getheaders(), answer.read()
        except OSError as e:
            self._answer(503, *_error(503, f"the emulator does not answer: {e}"))
            return
        finally:
            connection.close()
        if answer.status == http.client.NOT_FOUND and "/o/" in self.path:
            self._answer(404, *_error(404, "No such object: " + self.path.partition("?")[0].rpartition("/o/")[2]))
            return
        self._answer(answer.status, headers, text)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _pass  # noqa: N815  # the names that http.server calls

    def _answer(self, status: int, headers: list[tuple[str, str]], text: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in DONT_PASS | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing: the journal has better things to keep."""


def _error(status: int, message: str) -> tuple[list[tuple[str, str]], bytes]:
    return [("Content-Type", "application/json")], json.dumps({"error": {"code": status, "message": message}}).encode()


if __name__ == "__main__":
    address, port, Front.behind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ThreadingHTTPServer((address, port), Front).serve_forever()
