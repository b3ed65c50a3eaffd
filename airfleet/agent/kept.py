"""Small files of root's own in which a host remembers something: whole or not at all, never half written."""

from __future__ import annotations

import json
import os
import pwd

from airfleet.agent import files

MODE, FOLDER_MODE = 0o640, "0750"


def write(path, value):
    """Write a value as JSON, into a folder that is made where there is none."""
    me = pwd.getpwuid(os.geteuid())
    folder = os.path.dirname(path)
    if files.look_directory(folder, {})[0] is None:
        want = {"owner": me.pw_name, "group": me.pw_name, "mode": FOLDER_MODE}
        files.make_directory(folder, None, want, {}, None)
    files.write(path, json.dumps(value, sort_keys=True, indent=1) + "\n", (me.pw_uid, me.pw_gid), MODE)
