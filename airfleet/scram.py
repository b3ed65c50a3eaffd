"""The verifier that PostgreSQL keeps of a password (RFC 5803): made here, its log never gets the password. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac

ROUNDS = 4096  # PostgreSQL's own number


def verifier(password: str, salt: bytes) -> str:
    """Return the verifier of a password of ASCII letters; others would have to be prepared (SASLprep) as libpq does."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ROUNDS)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${ROUNDS}:{_words(salt)}${_words(client)}:{_words(server)}"


def _words(value: bytes) -> str:
    return base64.b64encode(value).decode()
