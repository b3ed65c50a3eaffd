"""Prints, as JSON, every setting that the installed Airflow and its providers know; the venv's own Python runs it.

Airflow is read, not imported: importing it takes seconds, reads airflow.cfg and would write one where there is none.
Nothing here sees a secret or a database.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import sys


def main():
    """Print the catalogue."""
    folder = _folder_of("airflow")
    sections = _core(folder)
    for entry_point in importlib.metadata.entry_points(group="apache_airflow_provider"):
        for name, section in (_provider_info(entry_point).get("config") or {}).items():
            sections.setdefault(name, {}).update(section.get("options") or {})
    core = importlib.metadata.version("apache-airflow-core" if _is_split() else "apache-airflow")
    catalogue = {
        "airflow": core,
        "sections": {name: {key: _brief(option) for key, option in keys.items()} for name, keys in sections.items()},
        "moved": _moved(folder),
        "celery": _celery_settings(),
    }
    json.dump(catalogue, sys.stdout, separators=(",", ":"), sort_keys=True)


def _is_split():
    try:
        importlib.metadata.version("apache-airflow-core")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _folder_of(package):
    return importlib.util.find_spec(package).submodule_search_locations[0]


def _core(folder):
    import yaml

    with open(os.path.join(folder, "config_templates", "config.yml"), encoding="utf-8") as f:
        described = yaml.load(f, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {name: dict(section["options"]) for name, section in described.items()}


def _provider_info(entry_point):
    """Return what a provider says of itself, from its own small module alone where that stands by itself."""
    name, _, function = entry_point.value.partition(":")
    path = entry_point.dist.locate_file(name.replace(".", "/") + ".py")
    if os.path.isfile(path):
        spec = importlib.util.spec_from_file_location("airfleet_provider_info", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, function)()
    return entry_point.load()()


def _brief(option):
    """Return what matters of an option: "secret" (so that KEY_cmd exists too), and why it is "gone"."""
    brief = {}
    if option.get("sensitive"):
        brief["secret"] = 1
    if option.get("version_deprecated") or option.get("deprecated"):
        brief["gone"] = " ".join((option.get("deprecation_reason") or "deprecated").split())
    return brief


def _moved(folder):
    """Return [[old section, old key, new section, new key, since], …]; an empty key speaks of the whole section."""
    found = []
    for path in _python_files(folder):
        with open(path, encoding="utf-8") as f:
            source = f.read()
        if "deprecated_options" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            found += _moved_in(node)
    return sorted(set(map(tuple, found)))


def _python_files(folder):
    yield os.path.join(folder, "configuration.py")
    for base, _, names in os.walk(os.path.join(folder, "_shared", "configuration")):
        for name in names:
            if name.endswith(".py"):
                yield os.path.join(base, name)


def _moved_in(node):
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    if not names & {"deprecated_options", "many_to_one_deprecated_options", "deprecated_sections"}:
        return []
    try:
        table = ast.literal_eval(node.value)
    except ValueError:
        return []
    if names == {"deprecated_sections"}:
        return [(old, "", new, "", since) for new, (old, since) in table.items()]
    if names == {"many_to_one_deprecated_options"}:
        return [(*old[:2], *new, old[2]) for new, olds in table.items() for old in olds]
    return [(*old[:2], *new, old[2]) for new, old in table.items()]


def _celery_settings():
    """Return the names of Celery's own settings, which people like to write into [celery]."""
    try:
        from celery.app.defaults import NAMESPACES, flatten
    except ImportError:
        return []
    return sorted(name.lower() for name, _ in flatten(NAMESPACES))


if __name__ == "__main__":
    main()
