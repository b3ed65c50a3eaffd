"""A certificate that a host signs for itself: for trials, where nobody else vouches for its name."""

from __future__ import annotations

import os
import re

from airfleet.agent import run

DAYS, LEFT_S = 825, 30 * 86400
OPENSSL = "/usr/bin/openssl"


def look_self_signed(path, ask):
    """Return whom it is for, and whether it is good for 30 days more; None where there is none."""
    if not os.path.exists(path):
        return None, {}
    text = run.run([OPENSSL, "x509", "-in", path, "-noout", "-ext", "subjectAltName"], ok=(0, 1), errors=False)
    names = re.findall(r"(?:DNS|IP Address):([^,\s]+)", text)
    left = run.run([OPENSSL, "x509", "-in", path, "-noout", "-checkend", str(LEFT_S)], ok=(0, 1), errors=False)
    return {"for": ", ".join(names), "time left": "enough" if "will not expire" in left else "less than 30 days"}, {}


def make_self_signed(path, seen, want, means, tell):
    """Make a key and a certificate, and have a proxy that runs read them."""
    name = want["for"]
    kind = "IP" if re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:.]*", name) else "DNS"
    beside = {each: each + ".new" for each in (means["key"], path)}
    run.run(
        [
            *(OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", str(DAYS), "-subj", "/O=airfleet, self-signed", "-addext", f"subjectAltName={kind}:{name}"),
            *("-keyout", beside[means["key"]], "-out", beside[path]),
        ]
    )
    os.chmod(beside[means["key"]], 0o600)
    for final, new in beside.items():
        os.rename(new, final)
    if os.path.isdir("/run/systemd/system"):
        run.run(["systemctl", "try-reload-or-restart", "nginx.service"], ok=(0, 1, 5), errors=False)
