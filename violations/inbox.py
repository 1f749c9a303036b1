"""Has the database note each decision that blocked an order for a limit, in the transaction that keeps the decision.

So each of them is recorded as a violation exactly once, whoever drains the journal and whenever it is killed, and
neither the check nor the drain knows of it.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

_NAME = "violations_blocked_order"

# A what-if is no order; a block with no limit to blame (no price, a stop in force) is no violation. The answer is JSON
# without blanks, in which a name with quotes has them escaped.
_CONDITION = """NOT NEW.approved AND NOT NEW.what_if AND NEW.answer NOT LIKE '%"violations":[]%'"""
_INSERT = "INSERT INTO violations_blockedorder (decision_id) VALUES (NEW.decision_id);"

_POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION {_NAME}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_INSERT} RETURN NULL; END $$;
CREATE TRIGGER {_NAME} AFTER INSERT ON audit_orderdecision FOR EACH ROW WHEN ({_CONDITION}) EXECUTE FUNCTION {_NAME}();
"""
_SQLITE = f"CREATE TRIGGER {_NAME} AFTER INSERT ON audit_orderdecision WHEN {_CONDITION} BEGIN {_INSERT} END"

_LOOK = {
    "postgresql": "SELECT 1 FROM pg_trigger WHERE tgname = %s",
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = %s",
}
_CREATE = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE}


def ensure_trigger(*, using: str = "default", **_: Any) -> None:
    """Make the trigger where there is none.

    After every `migrate`, because SQLite drops it with each change of the table that is made by copying it.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        if not {"audit_orderdecision", "violations_blockedorder"} <= set(connection.introspection.table_names(cursor)):
            return  # migrated backwards, or not that far yet
        cursor.execute(_LOOK[connection.vendor], [_NAME])
        if cursor.fetchone() is None:
            cursor.execute(_CREATE[connection.vendor])
