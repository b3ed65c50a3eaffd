"""docs/reliability.md: its matrix is what the kept results say."""

from __future__ import annotations

from tests.live.chaos import record, table


def test_the_matrix_is_written_from_its_data():
    """`python -m tests.live.chaos.table` would change nothing of it."""
    assert table.on_page(table.PAGE.read_text()) == table.part(record.read(table.DATA))
