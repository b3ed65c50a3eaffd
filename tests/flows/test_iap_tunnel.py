"""gcloud's own IAP tunnel as `ssh.proxy_command`, against a relay of the tests' own in Google's place."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest

from airfleet.address import connect
from airfleet.errors import HostUnreachable
from tests.flows.iap_relay import Relay
from tests.flows.ways import output_of

pytestmark = pytest.mark.skipif(shutil.which("gcloud") is None, reason="this computer has no gcloud")


@pytest.fixture
def relay(box, tmp_path, monkeypatch):
    """The relay, and gcloud with a login that nobody asks for."""
    (tmp_path / "token").write_text("a token")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", str(tmp_path / "token"))
    with Relay(tmp_path, "airflow-1", box.port) as started:
        yield started


def command(relay):
    return (
        "gcloud compute start-iap-tunnel %n %p --listen-on-stdin --project=example --zone=asia-northeast3-a"
        f" --verbosity=warning --iap-tunnel-url-override=wss://localhost:{relay.port}/v4"
        " --iap-tunnel-insecure-disable-websocket-cert-check"
    )


@pytest.mark.skipif(os.environ.get("AIRFLEET_GOOGLE") != "all", reason="only `make google` waits for gcloud's tunnel")
def test_a_host_is_reached_through_googles_tunnel(box, address, relay):
    """Megabytes both ways, byte for byte; the instance is the host's name in the inventory."""
    connection = connect("airflow-1", address(box, proxy_command=command(relay), timeout_s=30))
    data = os.urandom(1 << 20) * 3
    assert output_of(connection, "sha256sum", data).split()[0] == hashlib.sha256(data).hexdigest().encode()
    assert output_of(connection, "head -c 3000000 /dev/zero") == bytes(3000000)
    connection.close()
    assert [(each["instance"], each["port"], each["zone"], each["project"]) for each in relay.asked] == [
        ("airflow-1", str(box.port), "asia-northeast3-a", "example")
    ]


def test_what_google_refuses_is_told_in_its_words(box, address, relay):
    """As soon as gcloud ends, not after the timeout."""
    with pytest.raises(HostUnreachable, match=r"the proxy command said: .*4033.*not authorized"):
        connect("airflow-2", address(box, proxy_command=command(relay), timeout_s=60))
