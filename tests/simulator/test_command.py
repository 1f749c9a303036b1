"""manage.py simulate: what it is told, and what it says where that cannot be."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from simulator.management.commands.simulate import KEY_NAME, Command

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def alone(monkeypatch, settings):
    """Without a NATS that the settings name, and with the signals left as they are."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.delenv(KEY_NAME, raising=False)
    settings.NATS_URL = ""


def simulate(*arguments: str, key: str = "k") -> tuple[str, str]:
    """Return what it said, on the one side and on the other."""
    out, err = StringIO(), StringIO()
    call_command("simulate", *(["--key", key] if key else []), *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rate", "0"], "--rate must be above 0"),
        (["--rate", "nan"], "--rate must be above 0"),
        (["--speed", "0"], "--speed must be above 0"),
        (["--duration", "-1"], "--duration must be above 0"),
        (["--duration", "inf"], "--duration must be above 0"),
        (["--accounts", " , "], "--accounts names none"),
        (["--rest", "localhost:8103"], "--rest localhost:8103: must begin with http://"),
        (["--nats", "http://user:secret@host"], "--nats: must begin with nats:// or tls://"),
        (["--ticks", "absent.csv"], "absent.csv: "),
        (["--ticks", "absent.csv", "--columns", "height=h"], "--columns: height=h is none of time=NAME"),
        (["--ticks", "absent.csv", "--columns", "bid"], "--columns: bid= is none of"),
    ],
)
def test_what_cannot_be_is_refused_with_the_option(arguments, says):
    with pytest.raises(CommandError) as caught:
        simulate(*arguments)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_without_a_key_it_says_where_one_comes_from():
    with pytest.raises(CommandError, match=f"--key or {KEY_NAME}"):
        simulate(key="")


def test_where_riskportal_does_not_answer_it_says_so_and_fails():
    with pytest.raises(CommandError, match="not one order was answered: riskportal is away: "):
        simulate("--rest", NOWHERE, "--duration", "0.5")


def test_where_nats_does_not_answer_it_says_so_and_fails():
    with pytest.raises(CommandError, match="riskportal is away: NATS cannot be reached"):
        simulate("--nats", "nats://127.0.0.1:1", "--duration", "0.5")


def test_nats_is_where_the_settings_say(settings):
    settings.NATS_URL = "nats://user:secret@127.0.0.1:1"
    err = StringIO()
    with pytest.raises(CommandError):
        call_command("simulate", "--key", "k", "--duration", "0.3", stdout=StringIO(), stderr=err)
    first = err.getvalue().splitlines()[0]
    assert first == "trading for desk-1, desk-2, desk-3 through NATS at 127.0.0.1:1"


def test_one_seed_is_one_beginning():
    books = [beginning("--seed", "7"), beginning("--seed", "7"), beginning("--seed", "8")]
    assert books[0] == books[1] != books[2]


def beginning(*arguments: str) -> Any:
    """What the desks hold where not one order can be sent."""
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("simulate", "--key", "k", "--rest", NOWHERE, "--duration", "0.2", "--json", *arguments, stdout=out)
    return {name: books["positions"] for name, books in json.loads(out.getvalue())["accounts"].items()}


def test_it_ends_with_its_recording(tmp_path: Path):
    file = tmp_path / "ticks.csv"
    file.write_text("time,bid,ask\n1700000000,10,11\n1700000010,20,21\n")
    out = StringIO()
    arguments = ("--ticks", str(file), "--symbol", "acme", "--speed", "100", "--rest", NOWHERE)
    with pytest.raises(CommandError, match="not one order"):
        call_command("simulate", "--key", "k", *arguments, "--accounts", "a", "--json", stdout=out)
    books = json.loads(out.getvalue())["accounts"]["a"]
    assert list(books["positions"]) == ["ACME"]


def test_help_names_the_columns_of_a_recording():
    said = Command().create_parser("manage.py", "simulate").format_help()
    for word in ("local_ts_ns", "bid_qty", "--speed", "execution.close_all", KEY_NAME):
        assert word in said
