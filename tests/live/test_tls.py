"""The web pages behind TLS, on real machines: as a real browser meets them, and what a new certificate does to them.

Only `make browser` runs this: it needs Debian's chromium, and turns the shared installation to https and back.
"""

from __future__ import annotations

import os
import re
import ssl
import time
import urllib.request
from urllib.parse import quote

import pytest

from airfleet.generations import generation_of
from sandbox.site import REPOSITORY
from tests.live.chromium import chromium
from tests.live.conftest import wait_for

PICTURES = REPOSITORY / ".sandbox" / "pictures"
pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.environ.get("AIRFLEET_BROWSER") != "1", reason="only `make browser` installs a browser"),
]
TASK = "hello_1"


def to_https(value, address):
    value["airflow"] |= {"base_url": f"https://{address}", "web_port": 8080}
    value["tls"] = {"self_signed": True}
    value["hosts"]["af1"]["roles"].append("proxy")


@pytest.fixture(scope="module")
def https(first):
    """The installation behind a proxy; afterwards as it was."""
    made, before = first.installation, first.installation.inventory.read_text()
    address = made.machines["af1"].address
    made.edit(lambda value: to_https(value, address))
    made.fab("bootstrap")
    yield made
    made.inventory.write_text(before)
    made.on("af1", "systemctl", "disable", "--now", "nginx")  # the distribution's: airfleet leaves it where it was
    made.fab("bootstrap")


def shown(https):
    """Return the certificate that a new visitor is shown."""
    return ssl.get_server_certificate((https.machines["af1"].address, 443))


def test_a_browser_logs_in_sees_the_dags_and_a_tasks_log(https, first):
    """With the password that bootstrap has shown, over TLS; its session goes over nothing else. Pictures are kept."""
    base = f"https://{https.machines['af1'].address}"
    run = https.fab("airflow", "dags trigger hello --output json").stdout
    run_id = re.search(r'"dag_run_id": *"([^"]+)"', run)[1]
    wait_for(lambda: "success" in https.fab("airflow", f"tasks state hello {TASK} {run_id}").stdout, "the task", 240)
    with chromium() as page:
        page.open(f"{base}/")
        page.type("input[name=username]", "admin")
        page.type("input[name=password]", first.password)
        page.click("[type=submit]")
        page.leave("/login")
        page.open(f"{base}/{'home' if https.airflow.startswith('2.') else 'dags'}")
        page.see("hello")
        assert page.address.startswith(base)
        sessions = [cookie for cookie in page.cookies if cookie["name"] in ("session", "_token")]
        assert sessions
        assert all(cookie["secure"] for cookie in sessions)
        page.picture(PICTURES / f"{https.airflow}-dags.png")
        page.open(log_page(base, https.airflow, run_id))
        page.see("Returned value was: {'host': 'af")
        page.picture(PICTURES / f"{https.airflow}-log.png")


def log_page(base, airflow, run_id):
    """Return the address of the log of the DAG's first task."""
    if airflow.startswith("2."):
        return f"{base}/dags/hello/grid?dag_run_id={quote(run_id)}&task_id={TASK}&tab=logs"
    return f"{base}/dags/hello/runs/{quote(run_id)}/tasks/{TASK}"


def test_http_is_sent_to_https_and_the_plain_pages_are_not_to_be_had(https):
    """From outside there are the two ports of the proxy; the pages' own is loopback's."""
    address = https.machines["af1"].address
    said = https.on("svc", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"http://{address}/x")
    assert said == f"301 https://{address}/x"
    if https.airflow.startswith("2."):  # Airflow 3's tasks on af2 need that port
        assert https.on("svc", "curl", "-s", "-o", "/dev/null", f"http://{address}:8080/", check=False) == ""
        assert "127.0.0.1:8080" in https.on("af1", "ss", "-ltnH", "sport = :8080")
    assert "enabled" in https.on("af1", "systemctl", "is-enabled", "nginx")


def test_a_new_certificate_is_shown_without_a_failed_request(https):
    """The old one is taken away under load: each request is answered, and bootstrap's new one is shown."""
    old, process = shown(https), https.on("af1", "systemctl", "show", "-p", "MainPID", "nginx")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    path = generation_of(https.airflow).health.web_path
    url = f"https://{https.machines['af1'].address}{path}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    https.on("af1", "rm", "/etc/nginx/airfleet/certificate.pem")
    bootstrap = https.start("bootstrap")
    count = 0
    while bootstrap.poll() is None:
        with opener.open(url, timeout=20) as answer:
            assert answer.status == 200
        count += 1
        time.sleep(0.02)  # as a visitor; what is waited for is the end of the bootstrap
    assert bootstrap.returncode == 0, bootstrap.stdout.read()
    assert count > 20
    assert shown(https) != old
    assert process == https.on("af1", "systemctl", "show", "-p", "MainPID", "nginx")


def test_all_is_in_order_and_well(https):
    """Nothing left to do, no finding."""
    assert https.fab("plan").stdout.startswith("in order")
    https.fab("doctor")
