"""The risk signal of the firm: its summed figures against the limits of global scope, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum

from msgspec import Struct

from riskcore.answer import binding_finding, risk_level, risk_score
from riskcore.book import PolicyType, Scope
from riskcore.calendar import moment
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT, ZERO
from riskcore.firm import firm_of
from riskcore.limits import Finding, describe
from riskcore.metrics import Kind
from riskcore.overview import AccountOverview, overview_of
from riskcore.picture import Picture, Reading, readings_of
from riskcore.ports import Stop
from riskcore.types import RiskLevel

# Figures of an account that do not add up to one of the firm: a limit on them is on each account.
_OF_EACH = ("drawdown_rapid", "position_loss")


class Tier(StrEnum):
    """What is recommended: nothing, to take only what reduces, to stop trading, to stop and close positions."""

    NONE = "none"
    REDUCE_ONLY = "reduce_only"
    HALT = "halt"
    UNWIND = "unwind"


class AccountAtRisk(Struct, frozen=True, kw_only=True):
    """An account whose own limits are nearly used up, or broken. It does not block the others."""

    account_id: str
    risk_level: RiskLevel
    risk_score: Decimal


class GlobalSignal(Struct, frozen=True, kw_only=True):
    """How much risk the firm is at, and what is recommended.

    `overall_risk_score` is the utilisation of the firm's binding limit from 0 to 100, None before the first state.
    `accounts_valued` of `accounts` are in the sums: the others have no state, or a price was never known.
    `critical_issues` and `warnings` are sentences for people.
    """

    risk_level: RiskLevel
    overall_risk_score: Decimal | None
    emergency_tier_recommendation: Tier
    emergency_action_required: bool
    critical_issues: tuple[str, ...]
    warnings: tuple[str, ...]
    accounts_at_risk: tuple[AccountAtRisk, ...]
    accounts: int
    accounts_valued: int
    policy_book_version: int
    timestamp: datetime


class Read(Struct, frozen=True):
    """An account, or the firm, with every limit on it held against it."""

    picture: Picture
    readings: tuple[Reading, ...]


def read_account(picture: Picture) -> Read:
    """Return an account with the readings of its limits."""
    with localcontext(EXACT):
        return Read(picture, tuple(readings_of(picture)))


def read_firm(pictures: Iterable[Picture], book: CompiledBook, now_us: int) -> Read:
    """Return the sums over the accounts that can be valued, with the readings of the limits of global scope.

    A limit of global scope holds for every account, and for all of them together.
    """
    with localcontext(EXACT):
        firm = firm_of(pictures, book, now_us)
        return Read(firm, tuple(reading for reading in readings_of(firm) if _is_of_firm(reading)))


def firm_overview(firm: Read, stops: tuple[Stop, ...]) -> AccountOverview:
    """Return the firm as an account is returned, with value at risk; its `account_id` is empty."""
    with localcontext(EXACT):
        return overview_of(firm.picture, firm.readings, stops, tail=True)


def global_signal(accounts: Sequence[Read], firm: Read, book: CompiledBook, now_us: int) -> GlobalSignal:
    """Return the signal of the firm whose accounts these are; all that the book knows count as its accounts."""
    with localcontext(EXACT):
        findings = [reading.finding for reading in firm.readings if reading.finding is not None]
        level, score = standing_of(firm)
        tier = _tier(firm.picture, findings, level)
        at_risk = [found for account in accounts if (found := _at_risk(account)) is not None]
        valued = sum(account.picture.whole is not None for account in accounts)
        return GlobalSignal(
            risk_level=level,
            overall_risk_score=score,
            emergency_tier_recommendation=tier,
            emergency_action_required=tier in (Tier.HALT, Tier.UNWIND),
            critical_issues=_critical_issues(findings, at_risk),
            warnings=_warnings(findings, at_risk, len(book.accounts), valued),
            accounts_at_risk=tuple(at_risk),
            accounts=len(book.accounts),
            accounts_valued=valued,
            policy_book_version=book.version,
            timestamp=moment(now_us),
        )


def _is_of_firm(reading: Reading) -> bool:
    metric = reading.limit.metric
    summed = metric.kind in (Kind.ACCOUNT, Kind.SYMBOL, Kind.TAIL) and metric.name not in _OF_EACH
    return summed and reading.limit.policy.scope is Scope.GLOBAL


def standing_of(read: Read) -> tuple[RiskLevel, Decimal | None]:
    """Return the level and the score of an account, or the firm, by the limit on it that is used most."""
    findings = [reading.finding for reading in read.readings if reading.finding is not None]
    return _standing_of(read.picture, [found for found in findings if found.limit.of_account])


def _standing_of(picture: Picture, findings: Iterable[Finding]) -> tuple[RiskLevel, Decimal | None]:
    """Return the level and the score by the limit that is used most; unknown without a state."""
    if picture.whole is None:
        return RiskLevel.UNKNOWN, None
    binding = binding_finding(findings)
    parameters = picture.book.parameters
    level = risk_level(binding, parameters.warning_utilisation, parameters.critical_utilisation)
    return level, risk_score(binding)


def _at_risk(account: Read) -> AccountAtRisk | None:
    """Return an account that is at WARNING or worse by the limits that are on it."""
    level, score = standing_of(account)
    if score is None or level is RiskLevel.INFO:
        return None
    return AccountAtRisk(account_id=account.picture.account.id, risk_level=level, risk_score=score)


def _tier(firm: Picture, findings: Iterable[Finding], level: RiskLevel) -> Tier:
    """A firm that cannot cover its margin unwinds; a broken emergency limit halts; a critical level only reduces."""
    if firm.whole is not None:
        state, reserved = firm.whole.state, firm.whole.exposure.margin_reserved
        if state.equity <= ZERO or state.equity < state.margin_used + reserved:
            return Tier.UNWIND
    if any(not finding.holds and finding.limit.policy.type is PolicyType.EMERGENCY for finding in findings):
        return Tier.HALT
    return Tier.REDUCE_ONLY if level is RiskLevel.CRITICAL else Tier.NONE


def _critical_issues(findings: Iterable[Finding], at_risk: Iterable[AccountAtRisk]) -> tuple[str, ...]:
    broken = [describe(finding) for finding in findings if finding.limit.blocking and not finding.holds]
    accounts = [f"account {one.account_id} is critical" for one in at_risk if one.risk_level is RiskLevel.CRITICAL]
    return (*broken, *accounts)


def _warnings(
    findings: Iterable[Finding], at_risk: Iterable[AccountAtRisk], accounts: int, valued: int
) -> tuple[str, ...]:
    broken = [describe(finding) for finding in findings if not finding.limit.blocking and not finding.holds]
    near = [f"account {one.account_id} is near a limit" for one in at_risk if one.risk_level is RiskLevel.WARNING]
    unknown = [f"{accounts - valued} of {accounts} accounts are in no sum: they cannot be valued"]
    return (*broken, *near, *(unknown if valued < accounts else ()))
