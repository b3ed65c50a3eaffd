"""What is wrong with a Cloud Build file: Google's own message, then the references that no schema looks at."""

from __future__ import annotations

import re

import yaml

BUILT_IN = {
    *("PROJECT_ID", "PROJECT_NUMBER", "BUILD_ID", "LOCATION", "TRIGGER_NAME", "COMMIT_SHA", "REVISION_ID", "SHORT_SHA"),
    *("REPO_NAME", "REPO_FULL_NAME", "BRANCH_NAME", "TAG_NAME", "REF_NAME", "TRIGGER_BUILD_CONFIG_PATH"),
    *("SERVICE_ACCOUNT_EMAIL", "SERVICE_ACCOUNT"),
}
USE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


def faults(text: str) -> list[str]:
    """Return what Cloud Build would refuse, or do otherwise than it reads."""
    from google.cloud.devtools.cloudbuild_v1 import Build
    from google.protobuf import json_format

    build = yaml.safe_load(text)
    try:
        json_format.ParseDict(build, Build.pb()(), ignore_unknown_fields=False)
    except json_format.ParseError as e:
        return [str(e)]
    return [*_substitutions(build), *_steps(build), *_times(build), *_logging(build)]


def seconds(duration: str | None, default: float) -> float:
    """Return a duration as Cloud Build writes it, such as 300s."""
    return float(duration.removesuffix("s")) if duration else default


def _words(value):
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _words(each)


def _substitutions(build):
    given = set(build.get("substitutions", {}))
    used = {two or three for text in _words(build) for one, two, three in USE.findall(text) if not one}
    yield from (f"${name} is no substitution: $${name} for the shell" for name in sorted(used - given - BUILT_IN))
    yield from (f"{name} is never used" for name in sorted(given - used))
    yield from (f"{name} must begin with an underscore" for name in sorted(given) if not name.startswith("_"))


def _steps(build):
    there = {each["env"] for each in build.get("availableSecrets", {}).get("secretManager", [])}
    asked = set()
    for number, step in enumerate(build["steps"]):
        name = step.get("id", number)
        if "name" not in step:
            yield f"step {name} has no image"
        if "timeout" not in step:
            yield f"step {name} has no timeout"
        secrets = step.get("secretEnv", [])
        asked.update(secrets)
        yield from (f"step {name}: {each} is not in availableSecrets" for each in secrets if each not in there)
        script = "\n".join(step.get("args", []))
        own = {each.partition("=")[0] for each in step.get("env", [])} | set(secrets)
        yield from (f"step {name}: {each} is never used" for each in secrets if f"$${each}" not in script)
        yield from (f"step {name}: {each} is not its own" for each in there - own if f"$${each}" in script)
    yield from (f"no step uses {each}" for each in sorted(there - asked))


def _times(build):
    whole = seconds(build.get("timeout"), 3600)
    steps = sum(seconds(step.get("timeout"), whole) for step in build["steps"])
    if steps > whole:
        yield f"the steps may take {steps:.0f} s, the build {whole:.0f} s"


def _logging(build):
    options = build.get("options", {})
    says = options.get("logging") in ("CLOUD_LOGGING_ONLY", "NONE") or options.get("defaultLogsBucketBehavior")
    if "serviceAccount" in build and not says and "logsBucket" not in build:
        yield "an own serviceAccount must say where the logs go: options.logging"
