"""The google provider's schema, read out of the bindings that cdktn generates from it for JavaScript.

PyPI's `cdktn-provider-google` has them in one archive: for each type a file in which every argument stands with what it
is (`// name - computed: false, optional: true, required: false`), its type, and whether it is a block. So the schema is
the provider's own, and neither its binary nor Google is asked. What the bindings don't say: which values are allowed,
and which arguments are write-only; those are told by their names (`…_wo`).
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass

CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
TO_HCL = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r"^    // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)$", re.MULTILINE)
NESTED = re.compile(r'new (\w+?)(OutputReference|List|Map)\(this, "\w+"(?:, (true|false))?')
GETTER = re.compile(r"(tolist\()?this\.(get\w+Attribute|interpolationForAttribute)\('\w+'\)")
ARGUMENT = re.compile(
    r'^ +(\w+): \{\n(?:.*\n)*?\s+isBlock: (true|false),\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)"', re.MULTILINE
)
PLAIN = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
}
OF_PROVIDER = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "stringList": ["list", "string"],
    "stringMap": ["map", "string"],
}


@dataclass(frozen=True)
class Member:
    """One argument, attribute or block of a class."""

    name: str
    flags: dict
    body: str

    @property
    def nested(self):
        """The class of what is in it, how it is held (`OutputReference` is at most one), and whether that is a set."""
        found = NESTED.search(self.body)
        return (found[1], found[2], found[3] == "true") if found else None

    @property
    def plain(self):
        """Its type, where it is no class."""
        found = GETTER.search(self.body)
        kind = PLAIN.get(found[2], "dynamic") if found else "dynamic"
        return ["set", kind[1]] if found and found[1] and isinstance(kind, list) else kind


class Bindings:
    """One file of the bindings."""

    def __init__(self, text):
        self.classes = {found[1]: (found[2], found[3]) for found in CLASS.finditer(text)}
        self.arguments = {found[1].lower(): arguments(found[2]) for found in TO_HCL.finditer(text)}

    def root(self):
        """Return the class of the resource, data source or provider, its kind, and what it says of its blocks."""
        kinds = ("TerraformResource", "TerraformDataSource", "TerraformProvider")
        name = next(name for name, (base, _) in self.classes.items() if base in kinds)
        base, body = self.classes[name]
        return name, base, arguments(body.partition("synthesizeHclAttributes()")[2])

    def members(self, name):
        """Yield what a class has."""
        body = self.classes[name][1]
        marks = list(MEMBER.finditer(body))
        for mark, after in zip(marks, [*marks[1:], None], strict=True):
            flags = {key: mark[at] == "true" for key, at in (("computed", 2), ("optional", 3), ("required", 4))}
            yield Member(mark[1], flags, body[mark.end() : after.start() if after else len(body)])

    def block(self, name, known):
        """Return a class as a block of a schema; `known` is which of its members are blocks, and how they are held."""
        attributes, blocks = {}, {}
        for member in self.members(name):
            is_block, kind = known.get(member.name, (False, ""))
            if member.nested and is_block:
                blocks[member.name] = self.nested_block(member, kind)
            else:
                attributes[member.name] = {**member.flags, "type": self.type_of(member, kind)}
        return {"attributes": attributes, "blocks": blocks}

    def nested_block(self, member, kind):
        """Return a member that is written as a block; `struct` is one without brackets, as `timeouts` is."""
        inner, held, _ = member.nested
        single = kind == "struct"
        return {
            "nesting": "single" if single else "set" if kind == "set" else "list",
            "block": self.block(f"{inner}OutputReference", self.arguments.get(inner.lower(), {})),
            "min": int(member.flags["required"] and not single),
            "max": int(held == "OutputReference" and not single),
        }

    def type_of(self, member, kind):
        """Return the type of a member that is written with `=`."""
        if not member.nested:
            plain = member.plain
            return ["set", plain[1]] if kind == "set" and isinstance(plain, list) else plain
        inner, held, is_set = member.nested
        fields = {each.name: self.type_of(each, "") for each in self.members(f"{inner}OutputReference")}
        if kind == "struct":
            return ["object", fields]
        around = "map" if held == "Map" else "set" if is_set or kind == "set" else "list"
        return [around, ["object", fields]]


def arguments(text):
    """Return, for each argument that a piece of the bindings writes, whether it is a block and how it is held."""
    return {found[1]: (found[2] == "true", found[3]) for found in ARGUMENT.finditer(text)}


def read(archive, types):
    """Return the schema of these types (`google_sql_user`, `data.google_compute_image`) and of the provider's block."""
    wanted = {f"package/lib/{folder_of(each)}/index.js": each for each in types}
    wanted["package/lib/provider/index.js"] = "provider"
    found = {"provider": None, "resources": {}, "data": {}}
    with tarfile.open(archive) as package:
        for entry in package:
            if entry.name in wanted:
                put(found, wanted.pop(entry.name), Bindings(package.extractfile(entry).read().decode()))
            if not wanted:
                break
    return found  # a type that is not there is one that the provider does not have: terraform says so


def put(found, name, bindings):
    """Note the schema of one file."""
    root, base, known = bindings.root()
    if base == "TerraformProvider":
        text = bindings.classes[root][1].partition("synthesizeHclAttributes()")[2]
        attributes = {
            each[1]: {
                "computed": False,
                "optional": True,
                "required": False,
                "type": OF_PROVIDER.get(each[4], "dynamic"),
            }
            for each in ARGUMENT.finditer(text)
            if each[2] == "false"
        }
        found["provider"] = {"attributes": attributes, "blocks": {}}
        return
    kind = "resources" if base == "TerraformResource" else "data"
    found[kind][name.removeprefix("data.")] = bindings.block(root, known)


def folder_of(name):
    """Return the folder of a type in the bindings."""
    plain = name.replace("data.", "data_") if name.startswith("data.") else name.removeprefix("google_")
    return plain.replace("_", "-")
