"""A Secret Manager over real gRPC, with the messages of Google's own library: what airfleet calls, and its refusals."""

from __future__ import annotations

import contextlib
import threading
from concurrent import futures

import google_crc32c
import grpc
from google.cloud.secretmanager_v1 import types

SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
PROJECT = "team-airflow"
PREFIX = "airfleet-"


class Kept:
    """A version of a secret."""

    def __init__(self, payload, state="ENABLED"):
        self.payload, self.state = payload, state


class Service:
    """The service, in memory: {id: versions}. `denied` ids, `off` the API, `silent` and `damaged` are its moods."""

    def __init__(self):
        self.forget()

    def forget(self):
        self.kept, self.asked = {}, []
        self.denied, self.off, self.damaged, self.silent = set(), False, False, threading.Event()
        self.silent.set()  # set: it answers

    def give(self, name, *payloads):
        """Have a secret with these versions, whatever it was."""
        self.kept[PREFIX + name] = [Kept(each.encode() if isinstance(each, str) else each) for each in payloads]

    def values(self, name):
        return [each.payload for each in self.kept.get(PREFIX + name, [])]

    def _begin(self, doing, path, context):
        secret = path.split("/")[3]
        self.asked.append((doing, secret.removeprefix(PREFIX)))
        self.silent.wait(10)
        if self.off:
            said = f"Secret Manager API has not been used in project {PROJECT} before or it is disabled. Enable it by"
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{said} visiting secretmanager.googleapis.com")
        if secret in self.denied or (doing, secret) in self.denied:
            said = f"Permission 'secretmanager.versions.{doing}' denied for resource '{path}' (or it may not exist)."
            context.abort(grpc.StatusCode.PERMISSION_DENIED, said)
        return secret

    def access(self, request, context):
        secret = self._begin("access", request.name, context)
        base, _, version = request.name.partition("/versions/")
        versions = self.kept.get(secret)
        if not versions:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret [{base}] not found or has no versions.")
        number = len(versions) if version == "latest" else int(version)
        if number > len(versions):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret Version [{request.name}] not found.")
        kept = versions[number - 1]
        if kept.state != "ENABLED":
            said = f"Secret Version [{base}/versions/{number}] is in {kept.state} state."
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, said)
        crc = google_crc32c.value(kept.payload) + self.damaged
        payload = types.SecretPayload(data=kept.payload, data_crc32c=crc)
        return types.AccessSecretVersionResponse(name=f"{base}/versions/{number}", payload=payload)

    def add(self, request, context):
        secret = self._begin("add", request.parent, context)
        if secret not in self.kept:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret [{request.parent}] not found.")
        assert google_crc32c.value(request.payload.data) == request.payload.data_crc32c
        self.kept[secret].append(Kept(request.payload.data))
        state = types.SecretVersion.State.ENABLED
        return types.SecretVersion(name=f"{request.parent}/versions/{len(self.kept[secret])}", state=state)

    def create(self, request, context):
        path = f"{request.parent}/secrets/{request.secret_id}"
        secret = self._begin("create", path, context)
        if secret in self.kept:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"Secret [{path}] already exists.")
        assert "automatic" in request.secret.replication
        self.kept[secret] = []
        return types.Secret(name=path)


@contextlib.contextmanager
def serving():
    """Serve on a free port of loopback; yield (service, "HOST:PORT")."""
    service = Service()

    def answered(does, asks, answers):
        read = {"request_deserializer": asks.deserialize, "response_serializer": answers.serialize}
        return grpc.unary_unary_rpc_method_handler(does, **read)

    handlers = {
        "AccessSecretVersion": answered(
            service.access, types.AccessSecretVersionRequest, types.AccessSecretVersionResponse
        ),
        "AddSecretVersion": answered(service.add, types.AddSecretVersionRequest, types.SecretVersion),
        "CreateSecret": answered(service.create, types.CreateSecretRequest, types.Secret),
    }
    with futures.ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield service, f"127.0.0.1:{port}"
        server.stop(None).wait()
