"""The OpenAPI document says what the doors do."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.test import Client

from api.rest.documentation import document
from api.rest.schemas import ORDER_EXAMPLE
from api.urls import doors
from api.wire import read_order
from reports.urls import doors as doors_of_reports
from tests.api.world import BATCH, CHECK, WsgiDoor, bearer, order, publish
from tests.riskcore import builders


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document())
    return found


def validate(spec: dict[str, Any], name: str, instance: object) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
    jsonschema.Draft202012Validator(schema).validate(instance)


def test_every_door_is_in_it(spec):
    assert spec["openapi"].startswith("3.1")
    assert len(spec["paths"]) == len(doors) + len(doors_of_reports)


def test_every_reference_leads_somewhere(spec):
    text = document().decode()
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert names <= spec["components"]["schemas"].keys()


def test_every_schema_is_one(spec):
    for schema in spec["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema({**schema, "components": spec["components"]})


def test_its_example_is_an_order(spec):
    validate(spec, "Order", ORDER_EXAMPLE)
    assert read_order(json.dumps(ORDER_EXAMPLE).encode()).order_id == ORDER_EXAMPLE["order_id"]


@pytest.mark.parametrize("quantity", [1, 1.5, "1.5"])
def test_numbers_may_be_text(spec, quantity):
    validate(spec, "Order", order(quantity=quantity))


@pytest.mark.parametrize(
    "wrong", [{"quantity": 0}, {"quantity": True}, {"side": 1}, {"frobnicate": 1}, {"order_id": ""}]
)
def test_what_the_doors_refuse_it_refuses(spec, wrong):
    with pytest.raises(jsonschema.ValidationError):
        validate(spec, "Order", order(**wrong))


@pytest.mark.parametrize(
    "body", [order(), order(quantity="1000"), order(symbol="X"), order(what_if=True), order(account_id="Z")]
)
def test_decisions_are_as_it_says(ready, spec, body):
    validate(spec, "CheckReply", WsgiDoor().post(CHECK, body).json)


def test_batches_are_as_it_says(ready, spec):
    validate(spec, "BatchReply", WsgiDoor().post(BATCH, {"orders": [order()]}).json)


def test_problems_are_as_it_says(ready, spec):
    validate(spec, "Problem", WsgiDoor().post(CHECK, {}).json)


def test_a_block_for_want_of_a_state_is_a_problem_and_a_decision(ready, spec, away):
    away()
    answer = WsgiDoor().post(CHECK, order()).json

    validate(spec, "Problem", answer)
    validate(spec, "CheckReply", answer)


def test_limits_are_as_it_says(ready, spec):
    publish(ready, builders.policy("leverage", "<=", 3), version=2)
    (one, *_) = Client().get("/risk/limits", headers=bearer()).json()["results"]

    validate(spec, "AccountLimits", one)
    validate(spec, "AccountMetrics", Client().get("/risk/metrics/A", headers=bearer()).json())


def test_its_page_loads_nothing_from_elsewhere():
    page = Client().get("/api/docs").content.decode()

    assert "swagger-ui-bundle.js" in page
    assert "//" not in page.replace("https://www.w3.org", "").replace("<!--", "")


def test_it_is_served():
    answer = Client().get("/api/schema")

    assert answer["content-type"] == "application/vnd.oai.openapi+json"
    assert json.loads(answer.content)["info"]["title"] == "riskportal"
