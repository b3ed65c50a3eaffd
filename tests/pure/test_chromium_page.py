"""What the test in a real browser asks its page: a page that is just being left answers nothing, and that is no end."""

from __future__ import annotations

import itertools

import pytest

from tests.live import chromium
from tests.live.chromium import Page


class Told(Page):
    """A page whose driver answers as it is told."""

    def __init__(self, *answers):
        self._answers = itertools.chain(answers, itertools.repeat(answers[-1]))

    def _in(self, method, path, body=None):
        if path == "/se/log":
            return [{"level": "SEVERE", "message": "no such script"}]
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_page_is_waited_for_while_it_can_not_be_asked():
    """The driver says an error as long as a document is unloaded."""
    Told("nothing", AssertionError("document unloaded"), "the hello DAG").see("hello")
    Told("https://af1/auth/login/", AssertionError("no window"), "https://af1/").leave("/login")


def test_what_does_not_come_is_named_with_what_is_there(monkeypatch):
    """After the patience has ended."""
    monkeypatch.setattr(chromium, "PATIENCE_S", 0)
    with pytest.raises(AssertionError, match=r"in vain: away from /login(.|\n)*/login/(.|\n)*SEVERE: no such"):
        Told("https://af1/auth/login/").leave("/login")
