"""The forms of values in the inventory, each with the words that say what is expected.

They are written in the part of regular expressions that Python, Rust (pydantic) and JSON Schema share, and stand
in the JSON Schema too. Nothing here lets a line break through, except LINES.
"""

from __future__ import annotations

from typing import Final

_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME: Final = rf"{_LABEL}(\.{_LABEL})*"
_FOLDERS: Final = r"[A-Za-z0-9_][A-Za-z0-9._=-]*(/[A-Za-z0-9_][A-Za-z0-9._=-]*)*"
_PLACE: Final = rf"({_NAME}|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?"

ACCOUNT: Final = r"^[a-z][a-z0-9_-]{0,31}$"
ADDRESS: Final = rf"^({_NAME}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$"
BASE_URL: Final = rf"^https?://{_PLACE}(/[A-Za-z0-9._~/-]*)?$"
BUCKET: Final = r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$"
DIRECTIVE: Final = r"^[A-Z][A-Za-z0-9]{1,63}$"
DIRECTIVE_VALUE: Final = r"^([^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\\])?$"
EMAIL: Final = r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$"
ENDPOINT: Final = rf"^({_NAME}|\[[0-9A-Fa-f:.]+\]):[0-9]{{1,5}}$"
EXTRA: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
FOLDER: Final = r"^/[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_.][A-Za-z0-9._-]*)*$"
HOST: Final = rf"^{_LABEL}$"
INSTANCE: Final = r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]*:[a-z]+-[a-z]+[0-9]+:[a-z][a-z0-9-]*$"
_JUMP: Final = r"[A-Za-z0-9_\[][A-Za-z0-9_.@:\[\]-]*"
JUMP: Final = rf"^{_JUMP}(,{_JUMP})*$"
LINE: Final = r"^[^\x00-\x1f\x7f]*$"
LINES: Final = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
LOGIN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}$"
MEMORY: Final = r"^[1-9][0-9]*([kKmMgG][bB]?)?$"
PLACE: Final = rf"^gs://{BUCKET[1:-1]}(/{_FOLDERS})?$"
PREFIX: Final = rf"^{_FOLDERS}$"
PROJECT: Final = r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$"
PYTHON: Final = r"^(system|3\.[0-9]{1,3}\.[0-9]{1,3})$"
RELATIVE: Final = r"^(\.|[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_.][A-Za-z0-9._-]*)*)$"
REPOSITORY: Final = (
    rf"^((https?|git)://{_PLACE}/[^\s\x00-\x1f\x7f]+|ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?{_PLACE}/[^\s\x00-\x1f\x7f]+"
    rf"|file:///[^\s\x00-\x1f\x7f]+|([A-Za-z0-9_][A-Za-z0-9_.-]*@){_NAME}:[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]*)$"
)
REQUIREMENT: Final = r"^[A-Za-z0-9][^\x00-\x1f\x7f]*$"
SCHEDULE: Final = r"^[A-Za-z0-9*][A-Za-z0-9*,.:/~ +_-]*$"
REVISION: Final = r"^[^\s\x00-\x1f\x7f~^:?*\[\\@{/.-][^\s\x00-\x1f\x7f~^:?*\[\\{]*$"
SECRET_PREFIX: Final = r"^[A-Za-z0-9_-]{0,200}$"  # noqa: S105  # a form, as all of these
SECRET_VERSION: Final = r"^(latest|[1-9][0-9]{0,8})$"  # noqa: S105
SETTING: Final = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
SHA256: Final = r"^[0-9a-f]{64}$"
TIMEZONE: Final = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
URL: Final = rf"^https?://{_PLACE}(/[^\s\x00-\x1f\x7f@]*)?$"
WEBHOOK: Final = (
    rf"^(secret|https://{_PLACE}(/[!-~]*)?"
    r"|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?(/[!-~]*)?)$"
)
WORD: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"

WORDS: Final = {
    ACCOUNT: "an account name: small letters, digits, _ and -, a letter first",
    ADDRESS: "an IP address or a host name",
    BASE_URL: "a URL with scheme and host, as in http://airflow.example.com",
    BUCKET: "a bucket name: small letters, digits, . _ and -, without gs://",
    DIRECTIVE: "a directive of systemd, as in MemoryMax",
    DIRECTIVE_VALUE: "a single line of text, without \\ at its end",
    EMAIL: "an e-mail address",
    ENDPOINT: "HOST:PORT",
    EXTRA: "an extra: letters, digits, . _ and -",
    FOLDER: "an absolute path of letters, digits, . _ - and /",
    HOST: "a host name: letters, digits and -, not - at its ends, at most 63",
    INSTANCE: "the connection name of an instance, as in PROJECT:REGION:INSTANCE",
    JUMP: "a host to jump over, as in user@bastion:22",
    LINE: "a single line of text",
    LINES: "lines of plain text",
    LOGIN: "a name of letters, digits, . _ @ and -",
    MEMORY: "an amount of memory, as in 512mb or 2gb",
    PLACE: "a place in Cloud Storage, as in gs://BUCKET/FOLDER",
    PREFIX: "a path of letters, digits, . _ = - and /, without / at its ends",
    PROJECT: "the id of a project: small letters, digits and -, a letter first, 6 to 30 of them",
    PYTHON: "a full version, as in 3.11.13, or `system`",
    RELATIVE: "a path inside the repository, or `.` for its root",
    REPOSITORY: "a git URL without a password, as in https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH",
    REQUIREMENT: "a requirement, as in pandas==2.1.4",
    REVISION: "a branch or tag",
    SCHEDULE: "a time as systemd's OnCalendar has it, as in `daily` or `*-*-* 03:30:00 Asia/Seoul`",
    SECRET_PREFIX: "letters, digits, _ and -",
    SECRET_VERSION: 'the number of a version, in quotes: "3"; or `latest`',
    SETTING: "a name in airflow.cfg: letters, digits, _ . and -",
    SHA256: "a SHA-256: 64 letters of 0-9 and a-f",
    TIMEZONE: "a time zone, as in Asia/Seoul",
    URL: "an http or https URL without a password",
    WEBHOOK: "an https address, http only on this computer, or `secret`",
    WORD: "a name of letters, digits, _ . and -",
}
