"""Reports over REST: asked for, looked at, taken away and cancelled, each by whoever may."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.test import Client

from api.rest.documentation import document
from reports.models import Report, State
from reports.rest_documentation import _EXAMPLE
from state.wiring import forget_stores, store
from tests.api.world import bearer, publish, record, swap_keys
from tests.reports.subjects import Numbers, actions

pytestmark = pytest.mark.django_db(transaction=True)

DOOR = "/risk/reports"
JSON = "application/json"


@pytest.fixture(autouse=True)
def _live(numbers: Numbers, settings) -> Iterator[None]:
    """A live state in memory that knows some keys, and the report of numbers."""
    settings.REDIS_URL = ""
    forget_stores()
    publish(store())
    limited = record("desk", "read", accounts=frozenset({"A"}))
    swap_keys(store(), record("oms", "read"), record("other", "read"), limited, record("feeder", "feed"))
    yield
    store().close()
    forget_stores()


def ask(key: str = "oms", status: int = 201, **body: Any) -> Any:
    wanted = {"report": "numbers", "format": "txt", **body}
    answer = Client().post(DOOR, wanted, content_type=JSON, headers=bearer(key))
    assert answer.status_code == status, answer.content
    return answer.json()


def get(path: str, key: str = "oms", status: int = 200) -> Any:
    answer = Client().get(path, headers=bearer(key))
    assert answer.status_code == status, answer.content if not answer.streaming else ""
    return answer


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def validate(name: str, instance: object) -> None:
    spec = json.loads(document())
    schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
    jsonschema.Draft202012Validator(schema).validate(instance)


def problems(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer["errors"]}


# --------------------------------------------------------------------------------------------------- refused
def test_a_key_that_may_not_read_is_refused():
    assert ask("feeder", status=403)["code"] == "not_allowed"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"report": "letters"}, {"report": "not_a_choice"}),
        ({"format": "exe"}, {"format": "invalid"}),
        ({"colour": "red"}, {"colour": "unknown_field"}),
        ({"filters": {"colour": "red"}}, {"filters.colour": "unknown_field"}),
        ({"filters": {"since": "2026-01-01"}}, {"filters.since": "not_a_moment"}),
        ({"filters": {"policy": "p-1"}}, {"filters.policy": "invalid"}),
        ({"report": "all_numbers"}, {"filters.at": "invalid"}),
        ({"filters": {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, {"filters.until": "invalid"}),
    ],
)
def test_every_wrong_field_is_named(body, wrong):
    assert problems(ask(status=400, **body)) == wrong
    assert not Report.objects.exists()


def test_an_account_that_the_key_is_not_for_is_refused():
    assert ask("desk", status=403, filters={"account_id": "B"})["code"] == "not_this_account"


def test_what_concerns_all_accounts_is_refused_to_a_key_for_some():
    refused = ask("desk", status=403, report="all_numbers", filters={"at": "2026-01-01T00:00:00Z"})
    assert refused["code"] == "not_this_account"


@pytest.mark.parametrize("part", ["", "/file", "/manifest", "/zip"])
def test_the_reports_of_another_key_are_not_there(part):
    made = ask()
    assert get(f"{DOOR}/{made['id']}{part}", "other", 404).json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/none", "/00000000-0000-7000-8000-000000000000/chart"])
def test_what_is_no_address_is_said_to_be_none(path):
    assert get(DOOR + path, status=400 if path == "/none" else 404).json()["status"] in (400, 404)


def test_a_report_that_is_not_made_yet_has_no_file(large):
    made = ask(status=202)
    assert get(f"{DOOR}/{made['id']}/file", status=409).json()["code"] == "not_there"


# ------------------------------------------------------------------------------------------------------ made
def test_a_small_one_is_answered_with_at_once():
    made = ask(filters={"since": "2026-01-01T00:00:00Z", "account_id": "A"})
    validate("Report", made)
    assert (made["state"], made["rows"], made["total"]) == ("done", 3, 3)
    assert made["filters"] == {"since": "2026-01-01T00:00:00Z", "account_id": "A"}
    assert made["asked_by"] == "key:oms"
    assert get(f"{DOOR}/{made['id']}").json() == made


def test_a_large_one_says_where_it_will_be(large):
    answer = Client().post(DOOR, {"report": "numbers", "format": "txt"}, content_type=JSON, headers=bearer())
    assert answer.status_code == 202
    waiting = get(answer["Location"]).json()
    validate("Report", waiting)
    assert (waiting["state"], waiting["file"]) == ("waiting", None)


def test_its_file_comes_whole_with_its_name_its_length_and_its_hash():
    made = ask()
    answer = get(made["file"])
    content = body_of(answer)
    assert sha256(content).hexdigest() == made["sha256"]
    assert answer["Content-Length"] == str(len(content)) == str(made["bytes"])
    assert answer["Content-Disposition"].startswith('attachment; filename="numbers-')
    assert answer["Content-Disposition"].endswith('.txt"')
    assert answer["Repr-Digest"] == f"sha-256=:{b64encode(sha256(content).digest()).decode()}:"
    assert answer["Cache-Control"] == "no-store"
    assert actions()[-1] == "report.download"


def test_its_manifest_is_beside_it():
    made = ask()
    answer = get(made["manifest"])
    assert answer.json()["sha256"] == made["sha256"]
    assert '.txt.manifest.json"' in answer["Content-Disposition"]


def test_both_come_as_one_zip(numbers):
    numbers.rows_there = 2_000
    made = ask()
    with zipfile.ZipFile(io.BytesIO(body_of(get(f"{DOOR}/{made['id']}/zip")))) as both:
        assert both.testzip() is None
        file, manifest = both.namelist()
        assert sha256(both.read(file)).hexdigest() == made["sha256"] == json.loads(both.read(manifest))["sha256"]
        assert manifest == f"{file}.manifest.json"


def test_the_list_has_ones_own_and_what_may_be_asked_for():
    made = ask()
    ask("other")
    listed = get(DOOR).json()
    assert [each["id"] for each in listed["results"]] == [made["id"]]
    assert listed["next"] is None
    kinds = {each["report"]: each for each in listed["kinds"]}
    validate("ReportKind", kinds["numbers"])
    assert kinds["numbers"]["filters"] == ["since", "until", "account_id", "symbol"]
    assert kinds["all_numbers"]["needed"] == ["at"]
    assert "all_numbers" not in {each["report"] for each in get(DOOR, "desk").json()["kinds"]}


def test_the_list_is_read_page_by_page_and_by_state(large):
    made = [ask(status=202)["id"] for _ in range(3)]
    first = get(f"{DOOR}?limit=2&state=waiting").json()
    second = get(f"{DOOR}?limit=2&state=waiting&cursor={first['next']}").json()
    assert [each["id"] for each in (*first["results"], *second["results"])] == made[::-1]
    assert second["next"] is None
    assert get(f"{DOOR}?state=done").json()["results"] == []
    assert problems(get(f"{DOOR}?state=lost", status=400).json()) == {"state": "not_a_choice"}


def test_one_that_waits_is_cancelled(large):
    made = ask(status=202)
    answer = Client().delete(f"{DOOR}/{made['id']}", headers=bearer())
    assert (answer.status_code, answer.json()["state"]) == (200, State.CANCELLED)
    answer = Client().delete(f"{DOOR}/{made['id']}", headers=bearer())
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_the_document_has_an_example_that_is_one():
    validate("ReportRequest", _EXAMPLE)
