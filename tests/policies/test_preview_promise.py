"""What a preview predicts is exactly what happens when the same orders are sent again after publishing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from msgspec.structs import replace

from monitoring.accounts import Accounts
from policies.book import latest, loaded
from policies.edits import Edit
from policies.models import CapitalProfile, ChangeRequest, Preview, Progress
from policies.preview.impact import Impact, decode_impact
from policies.preview.replay import Kind, kind_of
from policies.preview.services import do_preview
from riskcore.compiled import CompiledBook
from riskcore.reasons import Reason
from riskcore.types import Order
from tests.emergency.world import World
from tests.policies.preview_world import Sent, begin_again, orders, reports, send, trading
from tests.policies.requesting import ALICE, approved, draft, making, new_limit, policy, published, seen, setting

DESKS = 40


@pytest.fixture(params=["redis", "memory"])
def world(request, settings, tmp_path, transactional_db) -> Iterator[World]:
    """A live state with accounts that have not traded yet."""
    yield from trading(request, settings, tmp_path, kind=request.param, desks=DESKS)


def desks() -> list[str]:
    return [f"desk-{number:02d}" for number in range(DESKS)]


def of_everything() -> list[Edit]:
    """Return edits of every kind: tighter and looser, of all accounts and of some."""
    wide = CapitalProfile.objects.get(pk="wide")
    return [
        setting(policy("Max Account Leverage"), threshold="3"),
        setting(wide, "profile", allowed_leverage="4", max_single_trade_risk="5"),
        new_limit("Small ETH Orders", scope="symbol", scope_ids=["ETHUSDT"], threshold="9000", on_breach="scale_down"),
        new_limit("Large Orders", type="soft", threshold="50000"),
        new_limit("Tried Out", mode="shadow", threshold="20000"),
        new_limit("Half of Them", rollout_percent=50, metric="gross_exposure", threshold="60000"),
        new_limit("Later", effective_from="2099-01-01T00:00:00+00:00", scope="symbol", scope_ids=["XRPUSDT"]),
        making("restriction", symbol="SOLUSDT", side="BUY", reason="Delisting"),
    ]


def previewed(request: ChangeRequest) -> Impact:
    preview: Preview = do_preview(acting=ALICE, **seen(request))
    assert preview.state == Progress.DONE, preview.problem
    return decode_impact(preview.result)


def assert_as_predicted(impact: Impact, before: list[Sent], after: list[Sent]) -> None:
    predicted = {flip.decision_id: flip for flip in (*impact.orders.flips, *impact.orders.others)}
    for first, second in zip(before, after, strict=True):
        flip = predicted.get(first.decision_id)
        if flip is None:
            assert kind_of(first.told, second.told) is None, first.order
        else:
            assert (flip.before, flip.after) == (first.told, second.told), first.order


def test_flips_are_exactly_what_happens_then(world):
    wanted = orders(desks())
    before = send(world, wanted)
    request = draft(*of_everything())
    impact = previewed(request)
    assert impact.orders.replayed == DESKS
    assert min(impact.orders.blocked, impact.orders.approved, impact.orders.otherwise) >= 2
    assert {flip.kind for flip in impact.orders.others} >= {Kind.OFFERED, Kind.WARNED, Kind.SHADOWED}
    assert len(impact.notes) == 1
    published(approved(request))
    begin_again(world, reports(desks()))
    assert_as_predicted(impact, before, send(world, wanted))


def test_of_orders_that_follow_one_another_all_to_the_first_flip_are_as_predicted(world):
    """What a flip leaves behind is another exposure than the one recorded: after it nothing is promised."""
    rounds = [orders(desks(), seed=seed) for seed in (3, 4, 5)]
    wanted = [
        replace(order, order_id=f"{order.order_id}-{place}") for place, some in enumerate(rounds) for order in some
    ]
    before = send(world, wanted)
    request = draft(*of_everything())
    impact = previewed(request)
    published(approved(request))
    begin_again(world, reports(desks()))
    after = send(world, wanted)
    flipped = {flip.decision_id for flip in impact.orders.flips}
    promised, over = [], set[str]()
    for first, second in zip(before, after, strict=True):
        if first.order.account_id not in over:
            promised.append((first, second))
        if first.decision_id in flipped:
            over.add(first.order.account_id)
    assert DESKS < len(promised) < len(wanted)
    assert_as_predicted(impact, *map(list, zip(*promised, strict=True)))


def test_a_new_limit_on_the_number_of_messages_blocks_exactly_those_predicted(world):
    (first,) = orders(desks()[:1])
    wanted = [_small(first, number) for number in range(5)]
    before = send(world, wanted)
    request = draft(new_limit("Few Orders", metric="order_rate", threshold="3", window_s=600))
    impact = previewed(request)
    assert [flip.order.order_id for flip in impact.orders.flips] == [wanted[4].order_id, wanted[3].order_id]
    assert {flip.after.reason for flip in impact.orders.flips} == {Reason.RATE_LIMIT_EXCEEDED}
    published(request)
    begin_again(world, reports(desks()))
    assert_as_predicted(impact, before, send(world, wanted))


def _small(order: Order, number: int) -> Order:
    return replace(order, order_id=f"small-{number}", quantity=Decimal("0.001"))


# ------------------------------------------------------------------------------------------------ accounts
def test_what_breaks_at_once_is_exactly_what_the_monitor_finds_then(world):
    request = draft(*of_everything(), new_limit("No Short ETH", metric="net_exposure", operator=">=", threshold="0"))
    impact = previewed(request)
    before = found_broken(world)
    published(approved(request))
    predicted = {(one.use.account_id, one.name, one.use.symbol) for one in impact.accounts.breaches}
    assert len(predicted) > 5
    assert predicted == found_broken(world) - before


def found_broken(world: World) -> set[tuple[str, str, str]]:
    """Return what the monitor finds broken: accounts, and the firm, with the limit and the symbol."""
    newest = latest()
    assert newest is not None
    book, accounts = CompiledBook(loaded(newest.version)), Accounts(world.store)
    seen = accounts.look(book)
    glances = (*seen.accounts, accounts.firm(seen.sums, book, seen.now_us))
    return {(one.account_id, reading.limit.policy.name, reading.symbol) for one in glances for reading in one.broken}
