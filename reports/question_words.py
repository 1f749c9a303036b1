"""An answer in sentences: the same on its page and in its export."""

from __future__ import annotations

from collections.abc import Iterator

from dashboard.words import figure, share, title
from policies.wording_numbers import moment_text
from reports.lineage import Change, approved_by
from reports.question import MOST, Answer, Applied
from riskcore.book import PolicyType


def headline(found: Answer) -> str:
    """Return in a sentence which limit applied."""
    when, metric = moment_text(found.at), title(found.metric).lower()
    if found.standing is None:
        return f"At {when} no book was published yet: nothing could be approved."
    book = f"book {found.standing.row.version}"
    if found.account is None:
        return f"At {when} {book} had no account {found.account_id}: every order of it was blocked."
    limit = found.tightest
    if limit is None:
        return f"At {when} no limit on {metric} could stop an order of {found.account_id} ({book})."
    return f"At {when} {limit.held.policy.name} applied to {found.account_id}: {limit.held.in_words} ({book})."


def sayings(found: Answer) -> Iterator[str]:
    """Yield what else there is to say, a sentence each."""
    limit = found.tightest
    if limit is not None:
        yield behind(limit)
    if found.day is not None:
        yield stopped(found)
        yield from _figures(found)
        yield from _reservations(found)


def behind(limit: Applied) -> str:
    """Return who stands behind a limit: who asked for its threshold, approved and published it, when and why."""
    if limit.set_by is None:
        return "The audit log does not say who made it so."
    said = f"Its threshold is of {moment_text(limit.set_by.at)}: {story(limit.set_by)}"
    if limit.change is not None and limit.change != limit.set_by:
        said += f" Something else of it was changed at {moment_text(limit.change.at)}: {story(limit.change)}"
    if limit.placed is not None:
        said += f" The account was under that profile since {moment_text(limit.placed.at)}: {story(limit.placed)}"
    return said


def story(change: Change) -> str:
    """Return who made a change, and why."""
    why = change.reason.strip().rstrip(".")
    if change.request is None:
        return f"{change.actor} made it by the configuration, without a request, in book {change.book} ({why})."
    approved = approved_by(change)
    second = f"{approved} approved it" if approved else "nobody had to approve it"
    asked = f"{change.request.author} asked for it in request {change.request.number} ({why})"
    return f"{asked}, {second}, {change.actor} published it in book {change.book}."


def stopped(found: Answer) -> str:
    """Return what the limits did on the trading day."""
    assert found.day is not None  # there is an answer
    day = f"On the trading day from {moment_text(found.day.since)} to {moment_text(found.day.until)}"
    orders = "no order was stopped" if not found.blocked else f"{_orders(found.blocked)} stopped"
    said = [f"{day} {orders} by {'it' if len(found.limits) == 1 else 'these limits'}"]
    if found.let_through:
        said.append(f"{_orders(found.let_through)} let through by an override")
    if found.stops_in_all:
        said.append("it led to 1 stop" if found.stops_in_all == 1 else f"they led to {found.stops_in_all:,} stops")
    return f"{'; '.join(said)}."


def _orders(count: int) -> str:
    return "1 order was" if count == 1 else f"{count:,} orders were"


def _figures(found: Answer) -> Iterator[str]:
    """Yield what is known of the figure at that moment."""
    reading, limit = found.on_order, found.tightest
    told = None if reading is None or limit is None else reading.limits.get(limit.held.policy.id)
    if reading is not None and told is not None:
        before = "" if told.before is None else f"{figure(found.metric, told.before)} before it and "
        after = "undefined" if told.after is None else figure(found.metric, told.after)
        # The order may have been held against another threshold than the one that applied a second later.
        changed = limit is not None and told.threshold != limit.held.threshold
        then = f" at that order, {figure(found.metric, told.threshold)}" if changed else ""
        answered = "was approved" if reading.approved else "was refused"
        yield (
            f"The last order decided by then, {reading.order_id} at {moment_text(reading.at)}, {answered}: "
            f"{before}{after} with it, {share(told.utilisation)} of the limit{then}."
        )
    if found.watched is not None:
        value = figure(found.metric, found.watched.value)
        yield f"At {moment_text(found.watched.at)} it was {value}: the last reading before then that is kept."
    if reading is None and found.watched is None:
        yield "What the figure was at that moment is not on record."


def _reservations(found: Answer) -> Iterator[str]:
    """Yield what a reader must know before taking the answer for more than it is."""
    if found.account is not None and not found.account.enabled:
        yield f"{found.account_id} was disabled: every order of it was blocked, whatever its limits were."
    if found.books:
        several = f"{found.books:,} books were" if found.books > 1 else "1 book was"
        yield (
            f"{several} published on that day: at another hour of it a limit may have been another; "
            "each order names the threshold that it was held against."
        )
    if any(each.held.policy.type is PolicyType.SOFT for each in found.limits):
        yield "A soft limit stops nothing: it warns."
    if found.what_ifs:
        yield f"What-if questions that were answered with no: {found.what_ifs:,}. They stopped nothing."


def is_cut(found: Answer) -> bool:
    """Return whether a page shows less than there is."""
    most = max(found.blocked + found.what_ifs, found.let_through, found.violations_in_all, found.alerts_in_all)
    return max(most, found.stops_in_all) > MOST
