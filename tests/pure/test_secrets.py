"""Secrets: never shown, read from a private file or the environment, or made."""

import base64
import copy
import json
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from awkward_secrets import HARD, KEY
from hypothesis import given, settings
from hypothesis import strategies as st

from airfleet import secrets
from airfleet.errors import UsageError
from airfleet.inventory_file import secrets_beside
from airfleet.secret_forms import GENERATED
from airfleet.secrets import Secret, Secrets

FERNET = base64.urlsafe_b64encode(b"k" * 32).decode()


@pytest.fixture
def file(tmp_path):
    """Return the path of a secrets file that does not exist yet."""
    return tmp_path / "secrets.yaml"


def written(file, text, mode=0o600):
    """Write a secrets file with this mode."""
    file.write_text(text)
    file.chmod(mode)
    return file


def said(file, environ=None):
    """Return the lines of the error that these secrets get."""
    with pytest.raises(UsageError) as caught:
        secrets.load(file, environ or {})
    assert 2 == caught.value.exit_code
    return str(caught.value).splitlines()


class TestSecret:
    """A value that shows itself only when asked."""

    def test_never_shown(self):
        """No way of printing or formatting a secret shows its value."""
        secret = Secret("hunter22")
        shown = [
            str(secret),
            repr(secret),
            f"{secret}",
            f"{secret!r:>20}",
            format(secret, ">9"),
            str([secret]),
            f"{secret:>9}",
        ]
        assert [] == [text for text in shown if "hunter" in text]
        assert "<secret>" == str(secret)

    def test_secrets_never_shown(self):
        """Nor does printing all of them."""
        assert "hunter" not in repr(Secrets({"redis_password": Secret("hunter22")}))

    def test_not_pickled(self):
        """A secret can't be pickled, or written as JSON."""
        with pytest.raises(TypeError):
            pickle.dumps(Secret("x"))
        with pytest.raises(TypeError):
            json.dumps(Secret("x"))

    def test_equal(self):
        """Secrets are equal when their values are, and never equal to the bare value."""
        assert Secret("가") == Secret("가")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert 1 == len({Secret("a"), Secret("a")})

    def test_copied(self):
        """A copy of a secret is the secret."""
        secret = Secret("x")
        assert [secret, secret] == [copy.copy(secret), copy.deepcopy(secret)]


class TestLoad:
    """Where secrets come from."""

    def test_none(self, file):
        """No file and no variables is no error, and no secrets."""
        assert () == secrets.load(file, {}).present()

    @pytest.mark.parametrize("value", HARD)
    def test_value(self, file, value):
        """A password is read as it is, whatever is in it."""
        written(file, yaml.safe_dump({"database_password": value}, allow_unicode=True))
        assert value == secrets.load(file, {}).database_password.reveal()

    def test_environment_wins(self, file):
        """A variable wins over the file."""
        written(file, "database_password: filed\nredis_password: kept1\n")
        found = secrets.load(file, {"AIRFLEET_SECRET_DATABASE_PASSWORD": "given", "HOME": "/x"})
        assert ("given", "kept1") == (found.database_password.reveal(), found.redis_password.reveal())

    def test_deploy_key(self, file):
        """A deploy key gets the line break at its end that ssh wants, and loses carriage returns."""
        found = secrets.load(file, {"AIRFLEET_SECRET_DEPLOY_KEY": KEY.strip().replace("\n", "\r\n")})
        assert KEY == found.deploy_key.reveal()

    def test_fernet_keys(self, file):
        """Several Fernet keys, as in a rotation, are one secret."""
        found = secrets.load(file, {"AIRFLEET_SECRET_FERNET_KEY": f"{FERNET},{FERNET}"})
        assert f"{FERNET},{FERNET}" == found.fernet_key.reveal()

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o700, 0o610])
    def test_mode(self, file, mode):
        """A file that is wider than 0600 is refused, with the command that mends it."""
        written(file, "redis_password: hunter22\n", mode)
        assert [
            f"secrets.yaml: its mode is {mode:04o}: others could read it",
            f"  do:    chmod 600 {file}",
            "  state: nothing was contacted",
        ] == said(file)

    def test_narrow_mode(self, file):
        """A file that only its owner can read is in order."""
        written(file, "redis_password: hunter22\n", 0o400)
        assert ("redis_password",) == secrets.load(file, {}).present()

    def test_link(self, file, tmp_path):
        """A link to a file that others can read is refused too."""
        file.symlink_to(written(tmp_path / "wide", "redis_password: hunter22\n", 0o644))
        assert said(file)[0] == "secrets.yaml: its mode is 0644: others could read it"

    def test_folder(self, file):
        """What is no file is refused."""
        file.mkdir()
        assert "secrets.yaml: is not a file" == said(file)[0]

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("redis_pasword: hunter22", "redis_pasword: unknown secret; did you mean 'redis_password'?"),
            ("redis_password: 12345678", "redis_password: needs text: write it in quotes"),
            ("redis_password: [hunter22]", "redis_password: needs text: write it in quotes"),
            ("redis_password:", "redis_password: is empty"),
            ("redis_password: '  '", "redis_password: is empty"),
            (
                'redis_password: "hunter22\\n"',
                "redis_password: has a line break or another control character in it",
            ),
            (
                "fernet_key: hunter22",
                "fernet_key: is not a Fernet key: 32 random bytes in URL-safe base64, 44 characters that end with =",
            ),
            (
                "deploy_key: ssh-ed25519 hunter22",
                (
                    "deploy_key: is not a private key as ssh-keygen writes it, from -----BEGIN … to -----END …: this is"
                    " the public half"
                ),
            ),
            ("redis_password: !hunter22", "redis_password: tags (!) are not read here: write the value in quotes"),
            ("redis_password: &hunter22", "redis_password: is empty"),
            (
                "redis_password: *hunter22",
                "anchors and aliases (& and *) are not read here: write the value itself",
            ),
            ("redis_password: hunter22: x", "not YAML: mapping values are not allowed in this context (column 25)"),
            (
                "redis_password: @hunter22",
                "not YAML: while scanning for the next token found character that cannot start any token (column 17)",
            ),
        ],
    )
    def test_wrong(self, file, line, expected):
        """What is wrong is told with its line and the nearest right word, and never with the value."""
        lines = said(written(file, f"# mine\n{line}\n"))
        assert f"secrets.yaml:2: {expected}" == lines[0]
        assert "hunter" not in "".join(lines)

    def test_all_at_once(self, file):
        """Errors of file and environment are told in one run."""
        written(file, "redis_password: 1\nfernet_kee: x\n")
        assert [
            "environment: AIRFLEET_SECRET_FLOWER_PASWORD: unknown secret; did you mean 'flower_password'?",
            "secrets.yaml:1: redis_password: needs text: write it in quotes",
            "secrets.yaml:2: fernet_kee: unknown secret; did you mean 'fernet_key'?",
        ] == said(file, {"AIRFLEET_SECRET_FLOWER_PASWORD": "x"})[:-1]

    @settings(deadline=None)  # the machine may be busy
    @given(st.binary(max_size=200))
    def test_anything(self, tmp_path_factory, content):
        """Any content of the file is read or refused in words."""
        file = tmp_path_factory.mktemp("any") / "secrets.yaml"
        file.touch(0o600)
        file.write_bytes(content)
        with suppress(UsageError):
            secrets.load(file, {})


class TestMissing:
    """A secret that nobody gave."""

    def test_both_ways(self):
        """Both ways to give a missing secret are named."""
        with pytest.raises(UsageError) as caught:
            _ = Secrets({}).database_password
        assert "secrets.yaml: missing: database_password" == str(caught.value).splitlines()[0]
        assert (
            "write database_password into secrets.yaml (mode 0600), or set AIRFLEET_SECRET_DATABASE_PASSWORD in the"
            " environment" == caught.value.remedy
        )

    def test_all_of_them(self):
        """Several missing secrets are named at once."""
        with pytest.raises(UsageError, match="missing: database_password, deploy_key"):
            Secrets({}).require("database_password", "deploy_key")

    def test_unknown(self):
        """A name that is no secret's is a mistake in the program."""
        with pytest.raises(KeyError):
            _ = Secrets({})["pasword"]


class TestComplete:
    """What airfleet makes itself."""

    def test_generated(self):
        """Those that are generated are made when they are missing, and no others."""
        assert GENERATED == secrets.complete(Secrets({})).present()

    def test_kept(self):
        """What is there is kept."""
        assert Secret("mine") == secrets.complete(Secrets({"redis_password": Secret("mine")})).redis_password

    def test_different(self):
        """Each is made anew, and is long."""
        values = [secret.reveal() for _ in range(5) for secret in secrets.complete(Secrets({})).values.values()]
        assert 5 * len(GENERATED) == len(set(values))
        assert 43 <= min(map(len, values))

    def test_valid(self, file):
        """What is made can be read again."""
        made = secrets.complete(Secrets({}))
        secrets.save(file, made)
        assert made.values == secrets.load(file, {}).values

    def test_given_is_not_generated(self):
        """A password that somebody else must know is not made up."""
        with pytest.raises(UsageError):
            secrets.generate("database_password")


def test_beside():
    """The secrets of an environment stand beside its inventory."""
    assert Path("/ops/secrets.yaml") == secrets_beside(Path("/ops/inventory.yaml"))
    assert Path("/ops/secrets.staging.yaml") == secrets_beside(Path("/ops/inventory.staging.yaml"))
