"""Secrets in a text that is to be shown."""

import base64
import json
from urllib.parse import quote

import pytest
from awkward_secrets import HARD, KEY
from hypothesis import given, settings
from hypothesis import strategies as st

from airfleet.masking import Mask
from airfleet.secrets import Secret, Secrets


class TestMask:
    """Secrets in a text that is to be shown."""

    @pytest.mark.parametrize("value", HARD)
    def test_forms(self, value):
        """A value is masked as it is and quoted: for a URL, airflow.cfg, JSON, YAML's base64 and a shell."""
        known = Secrets({"redis_password": Secret(value)})
        url = quote(value, safe="")
        forms = [
            value,
            url,
            url.replace("%", "%%"),
            value.replace("%", "%%"),
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            base64.b64encode(value.encode()).decode(),
        ]
        for form in forms:
            assert "a <secret> b" == known.mask(f"a {form} b"), form

    def test_url(self):
        """The password of a broker URL in airflow.cfg is masked, and the rest stays readable."""
        known = Secrets({"redis_password": Secret("p@:/%w")})
        url = f"redis://airflow:{quote('p@:/%w', safe='')}@10.0.0.1:6379/0".replace("%", "%%")
        assert "redis://airflow:<secret>@10.0.0.1:6379/0" == known.mask(url)

    def test_lines_of_a_key(self):
        """Each line of a key is masked, also where it is indented."""
        known = Secrets({"deploy_key": Secret(KEY)})
        masked = known.mask("    b3BlbnNzaC1rZXktdjEAAAAA\n    qrstuvwx\n")
        assert "    <secret>\n    <secret>\n" == masked

    def test_short(self):
        """What is shorter than four characters is left alone: masking it would spoil every text."""
        assert "abc abc" == Secrets({"database_password": Secret("abc")}).mask("abc abc")

    def test_overlapping(self):
        """Where two values overlap, no part of either is left."""
        assert "<<secret>>" == Mask(["abcdef", "defghi"])("<abcdefghi>")

    def test_none(self):
        """Without secrets the text is as it was."""
        assert "a\nb" == Secrets({}).mask("a\nb")

    def test_never_shown(self):
        """The mask does not print what it hides."""
        assert "hunter" not in repr(Mask(["hunter22"]))

    @settings(deadline=None)  # the machine may be busy
    @given(
        st.lists(
            st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4 and "s" not in text), min_size=1, max_size=3
        ),
        st.text(),
    )
    def test_any(self, values, between):
        """No value survives in a text, whatever the values and the text are."""
        mask = Mask(values)
        masked = mask(between.join(["", *values, *(quote(value, safe="", errors="replace") for value in values), ""]))
        assert [] == [value for value in values if value in masked.replace("<secret>", "\0")]
