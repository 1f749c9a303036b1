"""The database itself refuses what no limit can be, whoever writes: NaN, infinities and what is out of range."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from policies.models import CapitalProfile, Instrument, Policy
from tests.policies.subjects import account, instrument, restriction

# table: column, the lowest value that is allowed, one below it, one above the highest
DECIMALS = [
    ("policies_policy", "threshold", "-999999999999.99999999", None, "1000000000001"),
    ("policies_policy", "volatility_reference", "0", "-0.1", "100.1"),
    ("policies_policy", "volatility_least", "0.00000001", "0", "10.1"),
    ("policies_policy", "volatility_most", "10", "0", "10.1"),
    ("policies_capitalprofile", "allowed_leverage", "0.00000001", "0", "1000.1"),
    ("policies_capitalprofile", "max_single_trade_risk", "0.00000001", "0", "1000.1"),
    ("policies_capitalprofile", "max_daily_loss", "0.00000001", "0", "1.1"),
    ("policies_capitalprofile", "max_weekly_loss", "0.00000001", "-0.1", "1.1"),
    ("policies_instrument", "tick_size", "0", "-0.1", None),
    ("policies_instrument", "lot_size", "0", "-0.1", None),
    ("policies_instrument", "min_quantity", "0", "-0.1", None),
    ("policies_instrument", "max_quantity", "0", "-0.1", None),
    ("policies_instrument", "average_daily_volume", "0", "-0.1", None),
    ("policies_instrument", "margin_rate", "0", "-0.1", "1.1"),
]
NOT_NUMBERS = ["'NaN'", "'Infinity'", "'-Infinity'", "'inf'", "NULL"]
COLUMNS = [(table, column) for table, column, *_ in DECIMALS]


@pytest.fixture(autouse=True)
def rows(defaults):
    account(), instrument(), restriction()


def write(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_what_is_not_a_number_is_refused(table, column, value):
    with pytest.raises(DatabaseError):
        write(f"UPDATE {table} SET {column} = {value}")


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@pytest.mark.parametrize("value", ["9e999", "-9e999"])
def test_an_infinite_double_is_refused(table, column, value):
    infinity = value if connection.vendor == "sqlite" else f"'{value.replace('9e999', 'Infinity')}'::float8"
    with pytest.raises(DatabaseError):
        write(f"UPDATE {table} SET {column} = {infinity}")


@pytest.mark.parametrize(("table", "column", "low", "below", "above"), DECIMALS)
def test_a_decimal_has_its_range(table, column, low, below, above):
    write(f"UPDATE {table} SET {column} = {low}")
    for value in filter(None, (below, above)):
        with pytest.raises(DatabaseError):
            write(f"UPDATE {table} SET {column} = {value}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE policies_policy SET type = 'firm'",
        "UPDATE policies_policy SET operator = '=>'",
        "UPDATE policies_policy SET scope = 'planet'",
        "UPDATE policies_policy SET on_breach = 'shrug'",
        "UPDATE policies_policy SET priority = 1001",
        "UPDATE policies_policy SET mode = 'asleep'",
        "UPDATE policies_policy SET rollout_percent = 101",
        "UPDATE policies_policy SET volatility_least = 2",
        "UPDATE policies_policy SET effective_from = '2026-12-02 00:00:00', effective_until = '2026-12-01 00:00:00'",
        "UPDATE policies_policy SET window_s = 86401",
        "UPDATE policies_policy SET version = -1",
        "UPDATE policies_policy SET name = 'same'",
        "UPDATE policies_capitalprofile SET max_open_positions = -1",
        "UPDATE policies_account SET reservation_ttl_s = 0",
        "UPDATE policies_account SET profile_id = NULL",
        "UPDATE policies_restrictedsymbol SET side = 'LONG'",
        "UPDATE policies_restrictedsymbol SET symbol = ''",
        "UPDATE policies_instrument SET symbol = ''",
        "UPDATE policies_instrument SET min_quantity = 2, max_quantity = 1",
        "INSERT INTO policies_booklock (id) VALUES (2)",
    ],
)
def test_what_no_row_may_be_is_refused(statement):
    with pytest.raises(DatabaseError):
        write(statement)


@pytest.mark.parametrize("model", [Policy, CapitalProfile, Instrument])
def test_every_decimal_column_is_among_those_tested(model):
    columns = {each.name for each in model._meta.concrete_fields if each.get_internal_type() == "DecimalField"}
    assert columns == {column for table, column in COLUMNS if table == model._meta.db_table}
