"""A copy of the metadata database to try things on: a backup restored into a scratch database, dropped again."""

from __future__ import annotations

import contextlib
import os

from airfleet.agent import backup_folder, backup_restore, backup_sql, postgres_client, run


@contextlib.contextmanager
def in_scratch(words, tell):
    """Have a backup in a scratch database as long as the block lasts; yield how that is reached, as a dsn.

    {"dsn", "account", "path", "manifest"}. However the block ends, and whoever is lost meanwhile, it is dropped.
    """
    fd = backup_folder.opened(words["path"], words["manifest"], tell)
    try:
        with postgres_client.Client(words) as client, client.session() as session:
            seen = backup_sql.look(session)
            major = backup_restore.client_for(client, seen, words["manifest"])
            scratch = backup_restore.scratch_of(words["dsn"]["name"])
            backup_restore.make_scratch(session, seen, scratch)
            with run.on_loss(lambda: backup_restore.drop_scratch(client, seen, scratch)):
                try:
                    with client.session(scratch) as other:
                        schema = postgres_client.name(words["manifest"]["schema"])
                        other.ask(f"create schema if not exists {schema};\nbegin;")
                        problem = backup_restore.filled(client, major, other, fd, words["manifest"], tell)
                        if problem:
                            raise run.Refused(f"the copy is not what was backed up: {problem}", kind="damaged")
                        other.ask("commit;")
                    yield {**words["dsn"], "name": scratch}
                except run.Refused as e:
                    raise backup_restore.not_let_in(e, words["dsn"]["user"], scratch) from e
                finally:
                    backup_restore.drop_scratch(client, seen, scratch)
    finally:
        os.close(fd)
