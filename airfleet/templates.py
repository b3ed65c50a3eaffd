"""Fills in the templates; Jinja2 is loaded when the first one is needed, and a name that nobody gave is an error."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = "templates"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Beside the package: airfleet is a repository that is cloned, not a wheel.
    folder = f"{__file__.rsplit('/', 2)[0]}/{FOLDER}"
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - these are configuration files, not HTML; values arrive quoted for their format
    )


def fill(template: str, **values: object) -> str:
    """Return the text of this template with these values in it."""
    return _environment().get_template(template).render(values)
