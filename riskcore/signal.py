"""The risk signal of the firm: its summed figures against the limits of global scope, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum

from msgspec import Struct

from riskcore.answer import binding_finding, risk_level, risk_score
from riskcore.book import PolicyType
from riskcore.calendar import moment
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT, ZERO
from riskcore.firm import firm_of, is_of_firm
from riskcore.glance import Glance, unknown
from riskcore.limits import Finding, describe
from riskcore.overview import AccountOverview, overview_of
from riskcore.picture import Picture, Reading, readings_of
from riskcore.ports import Stop
from riskcore.types import RiskLevel


class Tier(StrEnum):
    """What is recommended: nothing, to take only what reduces, to stop trading, to stop and close positions."""

    NONE = "none"
    REDUCE_ONLY = "reduce_only"
    HALT = "halt"
    UNWIND = "unwind"

    @property
    def requires_action(self) -> bool:
        """Whether somebody has to act at once."""
        return self in (Tier.HALT, Tier.UNWIND)


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
        return Read(firm, tuple(reading for reading in readings_of(firm) if is_of_firm(reading.limit)))


def glance_of(read: Read) -> Glance:
    """Return an account, or the firm, as the signal needs it."""
    with localcontext(EXACT):
        picture = read.picture
        readings = [one for one in read.readings if one.finding is not None and one.limit.of_account]
        broken = tuple(one for one in readings if one.finding is not None and not one.finding.holds)
        if picture.whole is None:
            return unknown(picture.account.id)
        binding = binding_finding(one.finding for one in readings if one.finding is not None)
        parameters = picture.book.parameters
        level = risk_level(binding, parameters.warning_utilisation, parameters.critical_utilisation)
        limit = None if binding is None else binding.limit
        return Glance(picture.account.id, picture.whole, level, risk_score(binding), broken, limit)


def firm_overview(firm: Read, stops: tuple[Stop, ...]) -> AccountOverview:
    """Return the firm as an account is returned, with value at risk; its `account_id` is empty."""
    with localcontext(EXACT):
        return overview_of(firm.picture, firm.readings, stops, tail=True)


def global_signal(accounts: Iterable[Glance], firm: Glance, book: CompiledBook, now_us: int) -> GlobalSignal:
    """Return the signal of the firm whose accounts these are; all that the book knows count as its accounts."""
    with localcontext(EXACT):
        kept = tuple(accounts)
        findings = [reading.finding for reading in firm.broken if reading.finding is not None]
        tier = tier_of(firm)
        at_risk = [found for account in kept if (found := _at_risk(account)) is not None]
        valued = sum(account.whole is not None for account in kept)
        return GlobalSignal(
            risk_level=firm.level,
            overall_risk_score=firm.score,
            emergency_tier_recommendation=tier,
            emergency_action_required=tier.requires_action,
            critical_issues=_critical_issues(findings, at_risk),
            warnings=_warnings(findings, at_risk, len(book.accounts), valued),
            accounts_at_risk=tuple(at_risk),
            accounts=len(book.accounts),
            accounts_valued=valued,
            policy_book_version=book.version,
            timestamp=moment(now_us),
        )


def _at_risk(account: Glance) -> AccountAtRisk | None:
    """Return an account that is at WARNING or worse by the limits that are on it."""
    if account.score is None or account.level is RiskLevel.INFO:
        return None
    return AccountAtRisk(account_id=account.account_id, risk_level=account.level, risk_score=account.score)


def tier_of(firm: Glance) -> Tier:
    """Return what is recommended for the firm.

    One that cannot cover its margin unwinds; a broken emergency limit halts; a critical level only reduces.
    """
    if firm.whole is not None:
        state, reserved = firm.whole.state, firm.whole.exposure.margin_reserved
        if state.equity <= ZERO or state.equity < EXACT.add(state.margin_used, reserved):
            return Tier.UNWIND
    if any(reading.limit.policy.type is PolicyType.EMERGENCY for reading in firm.broken):
        return Tier.HALT
    return Tier.REDUCE_ONLY if firm.level is RiskLevel.CRITICAL else Tier.NONE


def _critical_issues(broken: Iterable[Finding], at_risk: Iterable[AccountAtRisk]) -> tuple[str, ...]:
    of_firm = [describe(finding) for finding in broken if finding.limit.blocking]
    accounts = [f"account {one.account_id} is critical" for one in at_risk if one.risk_level is RiskLevel.CRITICAL]
    return (*of_firm, *accounts)


def _warnings(
    broken: Iterable[Finding], at_risk: Iterable[AccountAtRisk], accounts: int, valued: int
) -> tuple[str, ...]:
    of_firm = [describe(finding) for finding in broken if not finding.limit.blocking]
    near = [f"account {one.account_id} is near a limit" for one in at_risk if one.risk_level is RiskLevel.WARNING]
    unknown = [f"{accounts - valued} of {accounts} accounts are in no sum: they cannot be valued"]
    return (*of_firm, *near, *(unknown if valued < accounts else ()))
