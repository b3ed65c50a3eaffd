"""Makes the stand-in of the google provider, once, and runs terraform with it.

`.sandbox/cache/terraform` keeps the bindings' archive (45 MB), an environment with the plugin protocol, and a schema
for each set of types that was asked for. Needs uv (it is in .venv) and PyPI the first time; nothing after that.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.terraform import google_schema

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "terraform"
CACHE = ROOT / ".sandbox" / "cache" / "terraform"
BINDINGS = "cdktn-provider-google==21.1.0"  # of the google provider 8.7.0
PROTOCOL = "tf==1.2.0"  # wants an older protobuf than ours
CHECKOV = "checkov==3.3.30"
UV = Path(sys.executable).with_name("uv")


@contextlib.contextmanager
def alone():
    """Keep other processes of the same run out meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def archive():
    """Return the archive of the bindings; it is fetched where it is missing."""
    path = CACHE / f"{BINDINGS}.tgz"
    if not path.exists():
        target = CACHE / "unpacked"
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run([UV, "pip", "install", "-q", "--no-deps", "--target", target, BINDINGS], check=True)
        found = next(target.glob("*/_jsii/*.tgz"))
        shutil.copy(found, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        shutil.rmtree(target)
    return path


def environment(package):
    """Return the folder of the programs of an environment that has this package and nothing else of ours."""
    folder = CACHE / package
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([UV, "venv", "-q", folder], check=True)
        subprocess.run([UV, "pip", "install", "-q", "--python", folder / "bin" / "python", package], check=True)
        (folder / "ready").touch()
    return folder / "bin"


def types_in(sources):
    """Return the types of the google provider that these files use."""
    text = "".join(path.read_text() for path in sorted(sources.glob("*.tf")))
    found = re.findall(r'^(resource|data) "(google_\w+)"', text, re.MULTILINE)
    return sorted({name if kind == "resource" else f"data.{name}" for kind, name in found})


def schema(types):
    """Return the file with the schema of these types."""
    made_by = [BINDINGS, Path(google_schema.__file__).read_text(), *types]
    path = CACHE / f"schema-{hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:16]}.json"
    if not path.exists():
        path.with_suffix(".part").write_text(json.dumps(google_schema.read(archive(), types)))
        path.with_suffix(".part").replace(path)
    return path


@contextlib.contextmanager
def running(folder, types):
    """Run a provider that knows these types, and yield the environment in which terraform finds it."""
    with alone():
        known, interpreter = schema(types), environment(PROTOCOL) / "python"
    socket = folder / "provider.sock"
    program = Path(__file__).with_name("google_provider.py")
    argv = [interpreter, program, known, socket]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as provider:
        if provider.stdout.readline() != "ready\n":
            raise RuntimeError("the stand-in of the google provider did not start: what it said stands above")
        address = {"Network": "unix", "String": str(socket)}
        where = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": provider.pid, "Test": True, "Addr": address}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "GOOGLE_"))}
        yield {
            **kept,
            "TF_REATTACH_PROVIDERS": json.dumps({"registry.terraform.io/hashicorp/google": where}),
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }


def terraform(folder, env, *words):
    """Run terraform in a folder and return what became of it."""
    argv = ["terraform", f"-chdir={folder}", *words]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)


def checkov():
    """Return checkov; it pins much of what others need newer."""
    with alone():
        return environment(CHECKOV) / "checkov"
