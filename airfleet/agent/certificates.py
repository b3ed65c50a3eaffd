"""The certificate of a database server: the authority that it is checked against, and why it is not trusted, in words.

libpq says `certificate verify failed` whatever is wrong. So the same handshake is made here once more, by OpenSSL
through Python, which tells the reason. Used on the host and inside the environment: the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import time

UNTRUSTED = "certificate verify failed"
FAILURES = (  # what libpq says plainly enough
    ("root certificate file", "the authority's certificate can't be read on this host", "fab bootstrap puts it there"),
    (
        "does not match host name",
        "the database's certificate is for another name",
        "write that name into database.host, or sslmode: verify-ca, which is what fits Cloud SQL",
    ),
    (
        "requires a valid client certificate",
        "the database wants a certificate of the client's, which airfleet has none of",
        "let it want TLS alone (Cloud SQL: ENCRYPTED_ONLY)",
    ),
    (UNTRUSTED, "the database's certificate is not trusted", "look at database.ca"),
)
ANSWER_S = 10
SSL_REQUEST = struct.pack("!II", 8, 80877103)  # PostgreSQL's protocol, "SSLRequest"
NOT_YET, EXPIRED, STRANGERS = 9, 10, (18, 19, 20, 21)  # X509_V_ERR_…, openssl-verification-options(1)
GET = "get the one that the server has now (Cloud SQL: gcloud sql instances describe … serverCaCert)"


@contextlib.contextmanager
def root(dsn):
    """Yield the path of the authority's certificate, or None; what the inventory says is in a file without a name.

    So a new one is tried before any file of the host is changed. The path is good for this process and, if the
    descriptor in it is passed on, its children.
    """
    if not dsn.get("authority"):
        yield dsn.get("sslrootcert") or None
        return
    fd = os.memfd_create("airfleet", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "w") as f:
            f.write(dsn["authority"])
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def trouble(dsn, path):
    """Return (what is wrong with the server's certificate, what to do), or None when this handshake succeeds."""
    try:
        return _handshake(dsn, path)
    except (OSError, ValueError):  # the connection's own failure is told by whoever asks
        return None


def _handshake(dsn, path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # libpq has another message for the name
    context.load_verify_locations(path)
    with socket.create_connection((dsn["host"], dsn["port"]), timeout=ANSWER_S) as plain:
        plain.sendall(SSL_REQUEST)
        if plain.recv(1) != b"S":
            return None
        try:
            with context.wrap_socket(plain):
                return None
        except ssl.SSLCertVerificationError as e:
            return _words(e, context)


def _words(error, context):
    if error.verify_code == EXPIRED:
        ends = [each["notAfter"] for each in context.get_ca_certs()]
        if ends and all(ssl.cert_time_to_seconds(each) < time.time() for each in ends):
            return f"the authority's certificate (database.ca) expired: {max(ends, key=ssl.cert_time_to_seconds)}", GET
        return (
            "the database's certificate has expired",
            "give the server a new one (Cloud SQL: gcloud sql ssl server-certs rotate); is this host's clock right?",
        )
    if error.verify_code == NOT_YET:
        return "the database's certificate is not valid yet", "look at the clocks of this host and of the server"
    if error.verify_code in STRANGERS:
        return "the database's certificate is not from the authority in database.ca", GET
    return f"the database's certificate is not trusted: {error.verify_message}", "look at database.ca and at the server"
