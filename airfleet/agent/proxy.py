"""The reverse proxy before the web pages, as a browser meets it: TLS, the pages behind it, the way there from http."""

from __future__ import annotations

import http.client
import ssl

from airfleet.agent import run

HERE, PATIENCE_S, HTTP_PORT = "127.0.0.1", 10, 80


def probe_proxy(words, tell):
    """Ask for the health of the pages by TLS, and be sent there: {"port", "host", "origin", "path", "timeout_s"}."""
    answer = {}

    def well():
        answer["problem"] = _problem(words)
        return not answer["problem"]

    run.wait_until(well, words["timeout_s"], poll_s=0.2)
    place = f"proxy at {words['origin']}"
    if answer["problem"]:
        return {"ok": False, "says": f"{place}: {answer['problem']}"}
    return {"ok": True, "says": f"{place}: the pages answer behind TLS, and http leads there"}


def _problem(words):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the doctor looks at whose it is
    try:
        secure = http.client.HTTPSConnection(HERE, words["port"], timeout=PATIENCE_S, context=context)
        status, _ = _get(secure, words["path"], words)
        if status != 200:
            return f"answers {status} for {words['path']}: the pages behind it can't be reached, or are not well"
        status, where = _get(
            http.client.HTTPConnection(HERE, words.get("http_port", HTTP_PORT), timeout=PATIENCE_S), "/x", words
        )
    except (OSError, http.client.HTTPException) as e:
        return f"can't be reached: {e}"
    if status != 301 or where != words["origin"] + "/x":
        return f"http is answered with {status}, and does not lead to {words['origin']}"
    return ""


def _get(connection, path, words):
    try:
        connection.request("GET", path, headers={"Host": words["host"]})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location")
    finally:
        connection.close()
