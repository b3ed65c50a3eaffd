"""How the secrets file is written: privately, and with what stood in it."""

import stat

import pytest
import yaml
from awkward_secrets import HARD, KEY
from hypothesis import given, settings
from hypothesis import strategies as st

from airfleet import secrets
from airfleet.errors import UsageError
from airfleet.secret_forms import GENERATED, NAMES
from airfleet.secrets import Secrets
from airfleet.secrets_file import with_values


@pytest.fixture
def file(tmp_path):
    """Return the path of a secrets file that does not exist yet."""
    return tmp_path / "secrets.yaml"


def written(file, text, mode=0o600):
    """Write a secrets file with this mode."""
    file.write_text(text)
    file.chmod(mode)
    return file


class TestSave:
    """How the file is written."""

    def test_private(self, file):
        """The file is 0600 from the start, and nothing else is left in the folder."""
        secrets.save(file, secrets.complete(Secrets({})))
        assert 0o600 == stat.S_IMODE(file.stat().st_mode)
        assert ["secrets.yaml"] == [each.name for each in file.parent.iterdir()]

    def test_environment_is_not_written(self, file):
        """What came from the environment does not get into the file."""
        known = secrets.load(file, {"AIRFLEET_SECRET_DATABASE_PASSWORD": "given123"})
        secrets.save(file, secrets.complete(known))
        assert "given123" not in file.read_text()

    def test_kept(self, file):
        """What the operator wrote, comments included, is kept when secrets are added."""
        text = "# from the vault\ndatabase_password: 'x@:/%y'   # rotate in May\n"
        secrets.save(written(file, text), secrets.complete(secrets.load(file, {})))
        assert file.read_text().startswith(text)
        assert {*GENERATED, "database_password"} == set(secrets.load(file, {}).present())

    def test_unchanged(self, file):
        """Saving what was read changes no byte."""
        text = f"deploy_key: |\n  {KEY.strip().replace(chr(10), chr(10) + '  ')}\nredis_password: abcd\n"
        secrets.save(written(file, text), secrets.load(file, {}))
        assert text == file.read_text()

    def test_nothing_to_say(self, file):
        """Without a secret to write no file is made."""
        secrets.save(file, secrets.load(file, {"AIRFLEET_SECRET_DATABASE_PASSWORD": "given123"}))
        assert not file.exists()

    def test_replaced(self):
        """A new value replaces the old one; comments and the other entries stay."""
        text = "# a\nredis_password: old1\n# b\ndatabase_password: x  # c\n"
        assert '# a\n# b\ndatabase_password: x  # c\nredis_password: "new1"\n' == with_values(
            text, {"redis_password": "new1"}
        )

    def test_through_a_link(self, file, tmp_path):
        """A link stays a link: the file that it names is written."""
        target = written(tmp_path / "elsewhere", "database_password: x123\n")
        file.symlink_to(target)
        secrets.save(file, secrets.complete(secrets.load(file, {})))
        assert file.is_symlink()
        assert set(GENERATED) < set(secrets.load(target, {}).present())

    def test_unwritable(self, tmp_path):
        """A folder that does not exist is told in words."""
        with pytest.raises(UsageError, match="can't be written"):
            secrets.save(tmp_path / "no" / "secrets.yaml", secrets.complete(Secrets({})))

    @settings(deadline=None)  # the machine may be busy
    @given(st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
    def test_any_value(self, values):
        """Whatever the values are, the file says them, and says them again when written over."""
        once = with_values("", values)
        twice = with_values(once, {name: value + "x" for name, value in values.items()})
        assert [values, {name: value + "x" for name, value in values.items()}] == [
            yaml.safe_load(once),
            yaml.safe_load(twice),
        ]

    @settings(deadline=None)  # the machine may be busy
    @given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([*HARD, KEY]), min_size=1))
    def test_flow_style(self, values):
        """A file in another style than ours is rewritten rather than spoilt."""
        before = {"redis_password": "old1"}
        assert before | values == yaml.safe_load(with_values("{redis_password: old1}", values))
