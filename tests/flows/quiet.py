"""A screen that keeps what is said: the class, and a fixture."""

from __future__ import annotations

import pytest


class Quiet:
    """A screen that keeps what is said."""

    elapsed_s = 0.0

    def __init__(self):
        self.said = []

    def say(self, text, style=""):
        self.said.append(text)

    probed = say

    def plans(self, plans, mask, *, whole):
        self.planned = plans

    def stage(self, name, changes):
        pass

    def step(self, host, key, text):
        pass

    def done(self, host, outcome):
        pass


@pytest.fixture
def screen():
    return Quiet()
