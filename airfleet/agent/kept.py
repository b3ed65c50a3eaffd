"""Small files of root's own in which a host remembers something: whole or not at all, never half written."""

from __future__ import annotations

import json
import os
import pwd

from airfleet.agent import files

MODE, FOLDER_MODE = "0640", "0750"


def write(path, value):
    """Write a value as JSON, into a folder that is made where there is none."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    want = {"owner": me, "group": me}
    folder = os.path.dirname(path)
    seen, _ = files.look_directory(folder, {})
    if seen is None:
        files.make_directory(folder, seen, {**want, "mode": FOLDER_MODE}, {}, None)
    text = json.dumps(value, sort_keys=True, indent=1) + "\n"
    files.make_file(path, files.look_file(path, {})[0], {**want, "mode": MODE}, {"text": text}, None)
