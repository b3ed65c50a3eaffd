"""What a browser would find, and what the web pages themselves need: the page, its certificate, the log servers."""

from __future__ import annotations

import calendar
import re
import socket
import ssl
import time
import urllib.parse

from airfleet.agent import run, web

HTTPS = 443
PATIENCE_S = 3
WRONG = 500
DAY_S = 86_400


def page(words):
    """Return {"url", "ok", "says", "ms"} of the web page on this host; None where there is none."""
    if not words["page"]:
        return None
    began = time.monotonic()
    try:
        status = web.status(words["page"])
    except web.Wrong as e:
        return {"url": words["page"], "ok": False, "says": str(e), "ms": None}
    ms = round(1000 * (time.monotonic() - began))
    return {"url": words["page"], "ok": status < WRONG, "says": f"answers {status}", "ms": ms}


def log_servers(names, port):
    """Return {name: "ok" or what is wrong} for the log servers of these hosts, as the web pages would ask them."""
    found = {}
    for name in names:
        try:
            with socket.create_connection((name, port), timeout=PATIENCE_S):
                found[name] = "ok"
        except (socket.gaierror, ValueError):  # what can't be a name at all is a UnicodeError
            found[name] = "its name is unknown on this host"
        except ConnectionRefusedError:
            found[name] = f"nothing listens on port {port}"
        except OSError as e:
            found[name] = f"port {port}: {e.strerror or e}"
    return found


def certificate(words):
    """Return {"days", "ends", "subject"} of the certificate that the page's public address shows; None without TLS."""
    parts = urllib.parse.urlsplit(words["certificate"])
    if parts.scheme != "https":
        return None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is looked at, not trusted
    address = (parts.hostname, parts.port or HTTPS)
    with socket.create_connection(address, timeout=PATIENCE_S) as plain:
        with context.wrap_socket(plain, server_hostname=parts.hostname) as secure:
            pem = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))
    text = run.run(["openssl", "x509", "-noout", "-enddate", "-subject"], stdin=pem)
    ends = re.search(r"notAfter=(.*)", text).group(1)
    seconds = calendar.timegm(time.strptime(ends, "%b %d %H:%M:%S %Y %Z")) - time.time()
    subject = re.search(r"subject=(.*)", text).group(1).strip()
    return {"days": int(seconds // DAY_S), "ends": ends, "subject": subject}
