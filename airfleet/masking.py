"""Takes secret values out of a text, in every form that airfleet, Airflow or a shell may have put them. Pure."""

from __future__ import annotations

import base64
import json
import re
import shlex
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST: Final = 4
SHOWN: Final = "<secret>"


class Mask:
    """A function from text to text without these values; what is shorter than four characters is left alone."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in _forms(value) if len(form) >= SHORTEST}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._found = re.compile("(?=(" + "|".join(map(re.escape, self._forms)) + "))")

    def __repr__(self) -> str:
        return f"<mask of {len(self._forms)} forms>"

    def __call__(self, text: str) -> str:
        """Return the text with each of the values, overlapping ones too, replaced by `<secret>`."""
        if not any(form in text for form in self._forms):
            return text
        kept: list[str] = []
        done = 0
        for begin, end in _united(match.span(1) for match in self._found.finditer(text)):
            kept += (text[done:begin], SHOWN)
            done = end
        return "".join([*kept, text[done:]])


def _forms(value: str) -> Iterator[str]:
    """Yield the value as it may stand in a text: as it is, line by line, quoted for URL, airflow.cfg, JSON, shell."""
    if len(value.strip()) < SHORTEST:
        return
    raw = value.encode(errors="surrogatepass")
    for plain in {value, value.strip(), *map(str.strip, value.splitlines())}:
        if len(plain) < SHORTEST:
            continue
        in_url = quote(plain, safe="", errors="surrogatepass")
        yield from (plain, in_url, quote(plain, errors="surrogatepass"), quote_plus(plain, errors="surrogatepass"))
        yield from (plain.replace("%", "%%"), in_url.replace("%", "%%"), plain.replace("'", "\\'"))
        yield from (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1], repr(plain)[1:-1])
        yield shlex.quote(plain).removeprefix("'").removesuffix("'")
    yield from (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode())


def _united(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield spans in order of their beginning, with those that overlap or touch made one."""
    begin = end = -1
    for first, last in spans:
        if first > end:
            if end > 0:
                yield begin, end
            begin, end = first, last
        end = max(end, last)
    if end > 0:
        yield begin, end
