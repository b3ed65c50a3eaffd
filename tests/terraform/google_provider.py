"""A google provider that has a schema and nothing else: what `terraform validate` and `mock_provider` ask for.

It runs in an environment of its own that has PyPI's `tf` (Terraform's plugin protocol in Python), and terraform is told
its socket (TF_REATTACH_PROVIDERS): to start it anew for each step of a test would take a second each. It plans, makes
and reads nothing: in tests terraform's own mocks do that. It ends when its stdin does.

    google_provider.py SCHEMA.json SOCKET
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

SCHEMA = json.loads(Path(sys.argv[1]).read_text())
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
WRITE_ONLY = bytes([11 << 3, 1])  # field 11 of an attribute in protocol 6.8, which this library is older than
ERROR = 1


def attribute(name, known):
    """Return an attribute as the protocol has it; those that end in _wo are write-only."""
    flags = {key: known[key] for key in ("required", "optional", "computed")}
    plain = pb.Schema.Attribute(name=name, type=json.dumps(known["type"]).encode(), **flags)
    if name.endswith("_wo"):
        return pb.Schema.Attribute.FromString(plain.SerializeToString() + WRITE_ONLY)
    return plain


def block(known):
    """Return a block as the protocol has it."""
    return pb.Schema.Block(
        attributes=[attribute(name, each) for name, each in known["attributes"].items()],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                nesting=NESTING[each["nesting"]],
                block=block(each["block"]),
                min_items=each["min"],
                max_items=each["max"],
            )
            for name, each in known["blocks"].items()
        ],
    )


def schemas(known):
    """Return each of these as a schema."""
    return {name: pb.Schema(version=0, block=block(each)) for name, each in known.items()}


def given(known, value, place=""):
    """Yield the places where something is given that only Google gives."""
    if not isinstance(value, dict):
        return
    for name, each in known["attributes"].items():
        if each["computed"] and not each["optional"] and not each["required"] and value.get(name) is not None:
            yield place + name
    for name, each in known["blocks"].items():
        inner = value.get(name)
        for one in inner if isinstance(inner, list) else [inner]:
            yield from given(each["block"], one, f"{place}{name}.")


ANSWER = pb.GetProviderSchema.Response(  # asked for often, made once
    provider=pb.Schema(version=0, block=block(SCHEMA["provider"])),
    resource_schemas=schemas(SCHEMA["resources"]),
    data_source_schemas=schemas(SCHEMA["data"]),
)


class Schemas(rpc.ProviderServicer):
    """What terraform asks before it plans."""

    def GetProviderSchema(self, _request, _context):  # noqa: N802  # the protocol's name, as are those below
        return ANSWER

    def ValidateProviderConfig(self, _request, _context):  # noqa: N802
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, _context):  # noqa: N802
        value = msgpack.unpackb(request.config.msgpack, raw=False, strict_map_key=False)
        wrong = [
            pb.Diagnostic(severity=ERROR, summary="Value for unconfigurable attribute", detail=f"{place} is Google's.")
            for place in given(SCHEMA["resources"][request.type_name], value)
        ]
        return pb.ValidateResourceConfig.Response(diagnostics=wrong)

    def ValidateDataResourceConfig(self, _request, _context):  # noqa: N802
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, _request, _context):  # noqa: N802
        return pb.ConfigureProvider.Response()

    def StopProvider(self, _request, _context):  # noqa: N802
        return pb.StopProvider.Response()


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    rpc.add_ProviderServicer_to_server(Schemas(), server)
    server.add_insecure_port(f"unix://{sys.argv[2]}")
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(grace=None)
