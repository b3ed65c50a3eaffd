"""In the Cloud SQL Auth Proxy's place: `stand_in_proxy.py PORT TARGET HEALTH` passes on what comes, and is ready."""

import http.server
import socket
import sys
import threading

port, target, health = map(int, sys.argv[1:])


def copy(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


threading.Thread(target=http.server.HTTPServer(("127.0.0.1", health), Ready).serve_forever, daemon=True).start()
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        a, b = server.accept()[0], socket.create_connection(("127.0.0.1", target))
        for pair in ((a, b), (b, a)):
            threading.Thread(target=copy, args=pair, daemon=True).start()
