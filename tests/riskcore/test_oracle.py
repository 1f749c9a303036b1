"""riskcore against the oracle: the same pictures and the same verdicts on twenty thousand random order sequences."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.metrics import METRICS, Unit
from tests.riskcore import oracle
from tests.riskcore.worlds import Scene, Step
from tests.support.properties import examples

# Coverage is what the tests of one fact each reach; here it would only cost a minute.
pytestmark = pytest.mark.no_cover

SEEDED = 19_000
PARTS = 19
SHRINKABLE = 1_000


def disagreements(step: Step, rules: tuple[oracle.Rule, ...]) -> list[str]:
    """Say where riskcore and the oracle differ on one order."""
    found = []
    decision = step.decision
    verdict = oracle.verdict(step.world, step.working, rules, step.today)
    for name, shown in decision.post_trade_metrics.items():
        expected = as_shown(name, verdict.picture[name])
        if not is_shown_as(shown, expected):
            found.append(f"{name}: {shown} is not {expected}")
    if (decision.approved, decision.reason) != (verdict.approved, verdict.reason):
        found.append(f"{decision.reason} is not {verdict.reason}: {decision.message}")
    if not decision.approved:
        breached = {breach.policy_id or "margin" for breach in decision.violations}
        # An order control stops alone.
        if breached != verdict.breached and not (len(breached) == 1 and breached < verdict.breached):
            found.append(f"violations {sorted(breached)} are not {sorted(verdict.breached)}")
    warned = {breach.policy_id for breach in decision.warnings}
    if warned != verdict.warned:
        found.append(f"warnings {warned} are not {verdict.warned}")
    return found


def is_shown_as(shown: Decimal | None, expected: oracle.Value) -> bool:
    if shown is None or expected is None:
        return shown is None and expected is None
    return (Fraction(shown) if shown.is_finite() else oracle.INFINITE) == expected


def as_shown(name: str, value: oracle.Value) -> oracle.Value:
    """Ratios are shown at six decimals, everything else in full."""
    if isinstance(value, Fraction) and METRICS[name].unit in (Unit.LEVERAGE, Unit.FRACTION):
        return round(value, 6)
    return value


def number_of_orders(random: Random) -> int:
    return random.choice((1, 1, 1, 2, 6))


@pytest.mark.parametrize("part", range(PARTS))
def test_every_metric_and_every_verdict_is_the_oracles(part: int) -> None:
    seen = set()
    for seed in range(part, SEEDED, PARTS):
        random = Random(seed)
        scene = Scene(random)
        for step in scene.orders(number_of_orders(random)):
            assert disagreements(step, scene.rules) == [], f"seed {seed}, order {step.inputs.order}"
            seen.add(step.decision.reason)
    assert seen == {None, "policy_violation", "insufficient_margin"}


@given(st.randoms(use_true_random=False))
@examples(SHRINKABLE)
def test_no_sequence_that_can_be_shrunk_differs_either(random: Random) -> None:
    scene = Scene(random)
    for step in scene.orders(number_of_orders(random)):
        assert disagreements(step, scene.rules) == []


def test_the_oracle_sees_a_wrong_figure() -> None:
    """The comparison itself can fail: a picture that forgets the open orders is not riskcore's."""
    for seed in range(100):
        scene = Scene(Random(seed))
        for step in scene.orders(8):
            blind = Step(step.inputs, step.outcome, step.world.without(scene.live), step.working, step.today, step.book)
            if len(step.world.working) > 2:
                assert disagreements(blind, scene.rules) != []
