"""Files of prices into the history: all of them exactly, or none with the line and column that is wrong."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.models import AuditEvent
from audit.verify import verify_chain
from feeds import price_files, price_import
from feeds.models import PriceBar

pytestmark = pytest.mark.django_db

WIDE = "Date,ACME,EMCA\n2026-01-05,10.5,20\n2026-01-06,10.75,\n2026-01-07,11,21.125\n"
LONG = (
    "symbol,date,close,open,high,low,volume\n"
    "acme,2026-01-05,10.5,10,11,9.5,1000\n"
    "emca,2026-01-05,20,20,20,20,0\n"
    "ACME,2026-01-06,10.75,,,,\n"
)
OHLC = (
    "Date,Open,High,Low,Close,Adj Close,Volume\n1/5/2026,10,11,9.5,10.5,5.25,1000\n1/16/2026,10,11,9.5,10.5,5.5,1000\n"
)


@pytest.fixture
def write(tmp_path):
    def written(content: str | bytes) -> Path:
        path: Path = tmp_path / "prices.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


@pytest.fixture
def load(write):
    """Import a content and return what was said."""

    def loaded(content: str | bytes, *options: str) -> str:
        said = StringIO()
        call_command("import_prices", str(write(content)), *options, stdout=said, stderr=said)
        return said.getvalue()

    return loaded


@pytest.fixture
def problems(load):
    """Import a content that is wrong, and return what is said of it."""

    def told(content: str | bytes, *options: str) -> list[str]:
        with pytest.raises(CommandError) as caught:
            load(content, *options)
        assert caught.value.returncode == 1
        return str(caught.value).splitlines()[1:]

    return told


def closes(symbol: str = "ACME") -> dict[str, Decimal]:
    return {f"{bar.start:%Y-%m-%d}": bar.close for bar in PriceBar.objects.filter(symbol=symbol)}


# ---------------------------------------------------------------------------------------------------- layouts


def test_a_wide_file_has_a_column_for_each_symbol(load):
    load(WIDE)
    assert closes() == {"2026-01-05": Decimal("10.5"), "2026-01-06": Decimal("10.75"), "2026-01-07": Decimal(11)}
    assert closes("EMCA") == {"2026-01-05": Decimal(20), "2026-01-07": Decimal("21.125")}


def test_a_long_file_has_a_line_for_each_bar(load):
    load(LONG)
    bar = PriceBar.objects.get(symbol="ACME", start="2026-01-05T00:00Z")
    assert [bar.open, bar.high, bar.low, bar.close] == [Decimal(each) for each in ("10", "11", "9.5", "10.5")]
    assert (bar.interval, bar.volume) == ("1d", Decimal(1000))
    assert PriceBar.objects.get(symbol="ACME", start="2026-01-06T00:00Z").open is None
    assert closes("EMCA") == {"2026-01-05": Decimal(20)}


def test_a_file_of_one_symbol_is_told_which(load):
    load(OHLC, "--symbol", "acme")
    assert closes() == {"2026-01-05": Decimal("10.5"), "2026-01-16": Decimal("10.5")}


def test_an_adjusted_close_comes_without_the_other_prices(load):
    load(OHLC, "--symbol", "ACME", "--column", "Adj Close")
    bar = PriceBar.objects.earliest("start")
    assert (bar.close, bar.open, bar.high, bar.low, bar.volume) == (Decimal("5.25"), None, None, None, Decimal(1000))


def test_the_only_column_beside_the_date_has_the_closes(load):
    load("Date,SP500\n2026-01-05,100\n", "--symbol", "SPX")
    assert closes("SPX") == {"2026-01-05": Decimal(100)}


def test_of_a_wide_file_one_column_may_be_taken(load):
    load(WIDE, "--column", "emca")
    assert not closes()
    assert len(closes("EMCA")) == 2


def test_the_column_of_dates_may_have_another_name(load):
    load("When,ACME\n2026-01-05,1\n", "--date-column", "when")
    assert closes() == {"2026-01-05": Decimal(1)}


@pytest.mark.parametrize(
    "content", [gzip.compress(WIDE.encode(), mtime=0), b"\xef\xbb\xbf" + WIDE.encode(), WIDE.replace("\n", "\r\n")]
)
def test_compression_byte_order_marks_and_line_ends_do_not_matter(load, content):
    load(content)
    assert len(closes()) == 3


def test_blank_lines_do_not_matter(load):
    load(WIDE.replace("\n", "\n\n"))
    assert len(closes()) == 3


def test_what_stands_for_no_price_is_said(load, problems):
    content = "Date,ACME\n2026-01-05,1\n2026-01-06,.\n2026-01-07,NA\n"
    assert problems(content)[0] == "line 3, column ACME: '.' is not a number"
    assert "cells without a price: 2" in load(content, "--missing", ".", "--missing", "NA")
    assert closes() == {"2026-01-05": Decimal(1)}


def test_bars_of_a_minute_begin_with_it(load, problems):
    content = "symbol,time,close\nACME,2026-01-05T09:30,1\nACME,2026-01-05T10:31:00+01:00,2\n"
    assert "not the start of a day" in problems(content)[0]
    load(content, "--interval", "1m")
    starts = PriceBar.objects.filter(interval="1m").values_list("start", flat=True)
    assert list(starts) == [datetime(2026, 1, 5, 9, 30, tzinfo=UTC), datetime(2026, 1, 5, 9, 31, tzinfo=UTC)]


# ------------------------------------------------------------------------------------------------------ dates


def test_month_and_day_are_told_apart_by_the_whole_file(load):
    load("Date,ACME\n1/2/2026,1\n1/13/2026,2\n")
    assert list(closes()) == ["2026-01-02", "2026-01-13"]


def test_day_and_month_are_told_apart_by_the_whole_file(load):
    load("Date,ACME\n1/2/2026,1\n13/2/2026,2\n")
    assert list(closes()) == ["2026-02-01", "2026-02-13"]


def test_dates_that_may_be_either_are_not_guessed(load, problems):
    content = "Date,ACME\n1/2/2026,1\n3/4/2026,2\n"
    assert problems(content) == [
        "column Date: every date in it may be month/day/year or day/month/year; say --date-format mdy or dmy"
    ]
    load(content, "--date-format", "dmy")
    assert list(closes()) == ["2026-02-01", "2026-04-03"]


def test_formats_are_not_mixed(problems):
    told = problems("Date,ACME\n1/2/2026,1\n13/2/2026,2\n1/13/2026,3\n")
    assert told == ["line 4, column Date: '1/13/2026' is no date, all before it being day/month/year"]


def test_other_formats_are_said(load, problems):
    content = "time,close\n20260105 00:00,1\n20260106 00:00,2\n"
    assert "say --date-format" in problems(content, "--symbol", "ACME")[0]
    load(content, "--symbol", "ACME", "--date-format", "%Y%m%d %H:%M")
    assert list(closes()) == ["2026-01-05", "2026-01-06"]


@pytest.mark.parametrize("date", ["2026-02-30", "2026-1-5", "1/5/26", "", "1/5/2026 25:00", "x", "\uff12026-01-05"])
def test_what_is_no_date_is_refused(problems, date):
    assert problems(f"Date,ACME\n{date},1\n")[0].startswith("line 2, column Date: ")
    assert problems(f"Date,ACME\n{date},1\n", "--date-format", "iso")[0].startswith("line 2, column Date: ")


def test_a_format_that_is_none_is_refused(problems):
    assert "'american' is no date format" in problems(WIDE, "--date-format", "american")[0]


def test_a_price_of_tomorrow_is_refused(problems):
    assert "in the future" in problems("Date,ACME\n2999-01-05,1\n")[0]


# ----------------------------------------------------------------------------------------------------- amounts


@pytest.mark.parametrize("text", ["0.000000008441", "8.441E-9", "12345678901.25", "1e3"])
def test_prices_are_exact(load, text):
    load(f"Date,ACME\n2026-01-05,{text}\n")
    assert closes() == {"2026-01-05": Decimal(text)}


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "-inf",
        "0",
        "-1",
        "1e99",
        "1e16",
        "1,000",
        "0x1",
        "1_0",
        "1.",
        "\u0663",
        "0.0000000000001",
        "1e-13",
        "$1",
    ],
)
def test_what_is_no_price_is_refused_with_line_and_column(problems, text):
    assert problems(f'Date,ACME,EMCA\n2026-01-05,1,2\n2026-01-06,1,"{text}"\n')[0].startswith("line 3, column EMCA: ")


def test_digits_that_the_database_would_round_are_refused(load, problems):
    content = "Date,ACME\n2026-01-05,1234567890.1234567891\n"
    if connection.vendor == "sqlite":
        assert "SQLite would round" in problems(content)[0]
    else:
        load(content)
        assert closes() == {"2026-01-05": Decimal("1234567890.1234567891")}


@pytest.mark.parametrize(
    ("prices", "problem"),
    [
        ("10.5,10,10.4,9.5,1", "line 2, column close: 10.5 is above the high of 10.4"),
        ("10.5,10,11,10.2,1", "line 2, column open: 10 is below the low of 10.2"),
        ("10.5,10,11,9.5,-1", "line 2, column volume: "),
        ("10.5,10,11,x,1", "line 2, column low: 'x' is not a number"),
        (",10,11,9,1", "line 2, column close: there is no price"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(problems, prices, problem):
    assert problems(f"symbol,date,close,open,high,low,volume\nACME,2026-01-05,{prices}\n")[0].startswith(problem)


# --------------------------------------------------------------------------------------------- files and headers


@pytest.mark.parametrize(
    ("content", "options", "problem"),
    [
        ("", [], "it is empty"),
        ("Date,ACME\n", [], "there is no price"),
        ("Date,ACME\n2026-01-05,\n", [], "there is no price in it"),
        ("Date\n2026-01-05\n", [], "line 1: there is no column of prices"),
        ("When,ACME\n2026-01-05,1\n", [], "line 1: no column is called date"),
        ("Date,ACME,acme\n2026-01-05,1,1\n", [], "line 1, column acme: there are two columns"),
        ("Date,AC ME\n2026-01-05,1\n", [], "line 1, column AC ME: 'AC ME' must have"),
        ("Date,Close\n2026-01-05,1\n", [], "line 1: no column says of what the prices are: say --symbol"),
        ("Date,A,B\n2026-01-05,1,2\n", ["--symbol", "X"], "line 1: no column is called close: say --column"),
        (WIDE, ["--column", "ACNE"], "line 1: there is no column 'ACNE' (--column); there are date, acme, emca"),
        (WIDE, ["--date-column", "D"], "line 1: there is no column 'D' (--date-column)"),
        (LONG, ["--symbol", "X"], "line 1, column symbol: the file says itself"),
        (OHLC, ["--symbol", "A|B"], "column --symbol: 'A|B' must have"),
        (LONG.replace("emca", "em ca"), [], "line 3, column symbol: 'em ca' must have"),
        ("Date,ACME\n2026-01-05,1\n2026-01-06,1,2\n", [], "line 3: it has 3 cells, the header 2"),
        (
            "Date,ACME\n2026-01-05,1\n2026-01-05,1\n",
            [],
            "line 3, column Date: ACME has a price of this date in line 2 too",
        ),
        ('Date,ACME\n2026-01-05,"1\n', [], "line 2: this is not CSV"),
        (b"Date,ACME\n2026-01-05,\xff\n", [], "it is not UTF-8 text"),
        (gzip.compress(WIDE.encode(), mtime=0)[:-12], [], "the compressed file is damaged"),
        (b"\x1f\x8b\x00\x00", [], "the compressed file is damaged"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(problems, content, options, problem):
    assert problems(content, *options)[0].startswith(problem)


def test_the_same_symbol_in_another_case_is_the_same(problems):
    content = "symbol,date,close\nACME,2026-01-05,1\nEMCA,2026-01-05,1\nacme,2026-01-05,1\n"
    assert problems(content) == ["line 4, column date: ACME has a price of this date in line 2 too"]


def test_everything_that_is_wrong_is_said_at_once_up_to_20(problems):
    lines = "".join(f"2026-01-{day:02},x\n" for day in range(1, 31))
    assert len(problems("Date,ACME\n" + lines[: 4 * 13])) == 4
    assert len(problems("Date,ACME\n" + lines)) == price_files.MOST_PROBLEMS == 20


def test_a_file_may_not_be_endless(problems, monkeypatch):
    monkeypatch.setattr(price_files, "MOST_BARS", 2)
    assert "split the file" in problems(WIDE)[0]


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("import_prices", str(tmp_path / "nothing.csv"))


# ------------------------------------------------------------------------------------------------ all or nothing


def test_nothing_is_imported_of_a_file_whose_last_cell_is_wrong(problems):
    problems(WIDE + "2026-01-08,1,x\n")
    assert not PriceBar.objects.exists()
    assert not AuditEvent.objects.exists()


def test_nothing_is_imported_where_writing_fails_half_way(load, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("the audit log cannot be written")

    monkeypatch.setattr(price_import, "record", fail)
    with pytest.raises(CommandError, match="Nothing was imported: the audit log"):
        load(WIDE)
    assert not PriceBar.objects.exists()


def test_a_second_import_changes_nothing_and_leaves_no_event(load):
    load(WIDE)
    before = list(PriceBar.objects.values())
    assert "0 added, 0 changed, 5 as they were" in load(WIDE)
    assert list(PriceBar.objects.values()) == before
    assert AuditEvent.objects.count() == 1


def test_a_bar_becomes_what_the_file_says(load):
    load(LONG)
    assert "2 added, 2 changed, 1 as they were" in load(WIDE.replace("10.5", "10.25"))
    bar = PriceBar.objects.get(symbol="ACME", start="2026-01-05T00:00Z")
    assert (bar.close, bar.open) == (Decimal("10.25"), None)
    assert PriceBar.objects.count() == 5


def test_bars_beyond_one_batch_are_written_and_found_again(load, monkeypatch):
    monkeypatch.setattr(price_import, "_TOGETHER", 2)
    assert "5 added" in load(WIDE)
    assert "0 added, 1 changed, 4 as they were" in load(WIDE.replace("21.125", "21"))


def test_a_dry_run_says_what_would_change_and_changes_nothing(load):
    assert "Would be 5 added, 0 changed" in load(WIDE, "--dry-run")
    assert not PriceBar.objects.exists()
    load(WIDE)
    assert "Would be 0 added, 1 changed, 4 as they were" in load(WIDE.replace("21.125", "21"), "--dry-run")
    assert closes("EMCA")["2026-01-07"] == Decimal("21.125")
    assert AuditEvent.objects.count() == 1


def test_the_audit_log_has_who_what_and_why(load, write):
    load(WIDE, "--reason", "first history")
    event = AuditEvent.objects.get()
    assert event.actor.startswith("command line (")
    assert (event.action, event.object_label, event.reason) == ("prices.import", "prices.csv", "first history")
    assert (event.before, len(event.object_id)) == (None, 64)
    assert event.after is not None
    assert event.after | {"bars_added": 5, "bars_changed": 0, "symbols": 2, "changed": []} == event.after
    assert verify_chain().intact


def test_the_audit_log_has_both_sides_of_a_change(load):
    load(WIDE)
    load(WIDE.replace("21.125", "21"))
    event = AuditEvent.objects.earliest("-sequence")
    assert event.before is not None
    assert event.after is not None
    assert Decimal(event.before["changed"][0]["close"]) == Decimal("21.125")
    assert Decimal(event.after["changed"][0]["close"]) == 21


def test_the_result_may_be_json(load):
    said = json.loads(load(WIDE, "--json"))
    assert (said["added"], said["blanks"], said["symbols"]) == (5, 1, ["ACME", "EMCA"])
    assert (said["layout"], said["date_format"], said["dry_run"]) == ("wide", "iso", False)


def test_it_is_said_that_old_prices_are_not_going_to_stay(load, settings):
    settings.RISK_PRICE_HISTORY_DAYS = 30
    assert "RISK_PRICE_HISTORY_DAYS" in load("Date,ACME\n1990-01-05,1\n")


def test_many_symbols_are_named_in_part(load):
    names = ",".join(f"S{number}" for number in range(25))
    assert "and 5 more" in load(f"Date,{names}\n2026-01-05{',1' * 25}\n")


def test_it_has_help(capsys):
    with pytest.raises(SystemExit) as left:
        call_command("import_prices", "--help")
    assert left.value.code == 0
    assert "--date-format" in capsys.readouterr().out
