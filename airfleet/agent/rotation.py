"""Steps of a secret's rotation that one host does for all: the password of Airflow's role, the Fernet key's work."""

from __future__ import annotations

from airfleet.agent import airflow_cli, inside

PROGRAM = "inside_rotation"
BESIDE = ("inside_postgres",)
ENCRYPT_S = 3600


def role_password(words, tell):
    """Give Airflow's role a new password, which then lets in: {"dsns": old and new, "verifier", "venv", "account"}."""
    asked = {"question": "alter", "dsns": words["dsns"], "verifier": words["verifier"]}
    return inside.ask(words["venv"], PROGRAM, asked, account=words["account"], also=BESIDE)


def fernet_unread(words, tell):
    """Return {"unread": [what these Fernet keys can't decrypt], "mended", "stored"}; see `inside_rotation.unread`.

    {"dsn", "keys", "venv", "account"}, and "all_keys" where what is left under an old one is to be stored anew.
    """
    asked = {"question": "unread", **{name: words.get(name) for name in ("dsn", "keys", "all_keys")}}
    return inside.ask(words["venv"], PROGRAM, asked, account=words["account"], timeout_s=ENCRYPT_S, also=BESIDE)


def fernet_encrypt(words, tell):
    """Have Airflow store everything anew, under the first of its keys, by `command`."""
    airflow_cli.airflow(words, words["command"], timeout_s=ENCRYPT_S, tell=tell)
    return {}
