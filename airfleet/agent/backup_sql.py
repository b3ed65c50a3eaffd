"""What backups ask of PostgreSQL, as SQL for psql: what is in Airflow's schema, and how it is emptied.

Airflow's schema is the one that its role works in (`current_schema()`): usually `public`. Answers are JSON lines.
What belongs to an extension is nobody's to dump or to drop.
"""

from __future__ import annotations

import json

from airfleet.agent import run
from airfleet.agent.postgres_client import literal

RELATIONS = (
    "pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where n.nspname = {schema} and not exists (select from pg_depend d"
    " where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ({without}))"
)
SERVER = """select jsonb_build_object(
 'version', split_part(current_setting('server_version'), ' ', 1),
 'major', current_setting('server_version_num')::int / 10000,
 'schema', current_schema(),
 'create_db', (select rolcreatedb or rolsuper from pg_roles where rolname = current_user),
 'encoding', (select pg_encoding_to_char(encoding) from pg_database where datname = current_database()),
 'collate', (select datcollate from pg_database where datname = current_database()),
 'ctype', (select datctype from pg_database where datname = current_database()));"""
CONTENTS = """select jsonb_build_object(
 'bytes', coalesce(sum(pg_table_size(c.oid)) filter (where relkind in ('r', 'm')), 0),
 'tables', coalesce(jsonb_agg(relname order by relname) filter (where relkind = 'r'), '[]'),
 'unreadable', coalesce(jsonb_agg(relname order by relname)
   filter (where relkind in ('r', 'm', 'p', 'S') and not has_table_privilege(c.oid, 'select')), '[]'),
 'foreign', coalesce(jsonb_object_agg(relname, pg_get_userbyid(relowner))
   filter (where relkind in ('r', 'p', 'v', 'm', 'S', 'f') and not pg_has_role(relowner, 'usage')), '{{}}'))
 from {relations};"""
# Each line that this answers is itself a query, which psql then runs (\gexec).
COUNTS = """select format('select jsonb_build_object(''table'', %L::text, ''rows'', count(*)) from %I.%I',
 relname, nspname, relname) from {relations} and relkind = 'r' order by relname \\gexec
select format('select jsonb_build_object(''alembic'', %L::text, ''is'', max(version_num)) from %I.%I',
 relname, nspname, relname) from {relations} and relkind = 'r' and relname like 'alembic\\_version%' \\gexec
"""
# Never `cascade`: what somebody made upon Airflow's tables elsewhere is not ours to drop; the database says what it is.
EMPTY = """select format('drop %s %s', kind, string_agg(format('%I.%I', nspname, relname), ', ')) from
 (select n.nspname, c.relname, case relkind when 'm' then 'materialized view' when 'v' then 'view'
   when 'f' then 'foreign table' when 'S' then 'sequence' else 'table' end kind from {relations}
   and relkind in ('m', 'v', 'r', 'p', 'f', 'S')) found
 group by kind order by position(kind in 'materialized view foreign table sequence') \\gexec
select format('drop routine %s', p.oid::regprocedure) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where n.nspname = {schema} and not exists (select from pg_depend d
 where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e') \\gexec
select format('drop type %I.%I', n.nspname, t.typname) from pg_type t join pg_namespace n on n.oid = t.typnamespace
 left join pg_class c on c.oid = t.typrelid where n.nspname = {schema}
 and (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c') and not exists (select from pg_depend d
 where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e') \\gexec
"""
OTHERS = """select jsonb_build_object('pid', pid, 'user', usename, 'from', coalesce(host(client_addr), 'the server'),
 'what', application_name, 'state', state) from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
 and application_name <> 'airfleet' order by backend_start;"""


def look(session):
    """Return what SERVER and CONTENTS answer: of the server, and of Airflow's schema."""
    server = session.value(SERVER)
    if not server["schema"]:
        raise run.Refused(
            f"{session.client.place}: the role {session.client.dsn['user']} has no schema to work in",
            kind="database",
            remedy="GRANT USAGE, CREATE ON SCHEMA public TO it, or set its search_path",
        )
    return {**server, **session.value(CONTENTS.format(relations=_relations(server["schema"], "'e'")))}


def counts(schema):
    """Return the statements whose answers `counted` reads."""
    return COUNTS.format(relations=_relations(schema, "'e'"))


def counted(lines):
    """Return ({table: rows}, {table of alembic's: revision}) of what they answered."""
    values = [json.loads(line) for line in lines]
    tables = {value["table"]: value["rows"] for value in values if "table" in value}
    return tables, {value["alembic"]: value["is"] for value in values if "alembic" in value}


def empty(schema):
    """Return the statements that drop all that is in the schema; the schema itself stays, with its rights."""
    # A sequence of a column goes with its table: 'a' by serial, 'i' by identity. So does a part of a table ('P', 'S').
    return EMPTY.format(relations=_relations(schema, "'e', 'a', 'i'"), schema=literal(schema))


def _relations(schema, without):
    return RELATIONS.format(schema=literal(schema), without=without)
