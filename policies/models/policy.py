"""A limit as officers manage it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q

from policies.fields import BoundedDecimalField, NameListField, WindowListField
from policies.models.base import Listed, Managed, history
from policies.models.profile import Account, CapitalProfile
from policies.models.symbol import SymbolField, validate_symbol
from policies.validation import Between, one_of
from riskcore.book import Mode, OnBreach, Operator, PolicyType, Scope, VolatilityScale
from riskcore.decimals import tidy
from riskcore.metrics import METRICS, WINDOWED, Kind
from riskcore.types import KEY_SEPARATOR

THRESHOLD = Between("-999999999999.99999999", "999999999999.99999999")
LONGEST_WINDOW_S = 24 * 60 * 60
VOLATILITY = Between("0", "100")
FACTOR = Between("0", "10", open_below=True)

TYPE_LABELS = {
    PolicyType.HARD: "hard: blocks the order",
    PolicyType.SOFT: "soft: warns",
    PolicyType.EMERGENCY: "emergency: blocks, and stops trading",
}
OPERATOR_LABELS = {
    Operator.AT_MOST: "<= stays at or below",
    Operator.BELOW: "< stays below",
    Operator.AT_LEAST: ">= stays at or above",
    Operator.ABOVE: "> stays above",
    Operator.EQUAL: "== is always",
    Operator.NOT_EQUAL: "!= is never",
}
SCOPE_LABELS = {
    Scope.GLOBAL: "every account",
    Scope.EXCHANGE: "exchanges",
    Scope.ACCOUNT: "accounts",
    Scope.STRATEGY: "strategies",
    Scope.SYMBOL: "symbols",
    Scope.PROFILE: "capital profiles",
}
MODE_LABELS = {
    Mode.ENFORCE: "enforced",
    Mode.SHADOW: "in shadow: evaluated and recorded, without effect",
}
_LEAST_ABOVE_MOST = "The threshold's least factor is above the most."
_ENDS_FIRST = "It would end before it begins."

ON_BREACH_LABELS = {
    OnBreach.BLOCK: "block the order",
    OnBreach.SCALE_DOWN: "offer the largest quantity that passes",
}


def _choices(labels: Mapping[Any, str]) -> list[tuple[str, str]]:
    return [(member.value, label) for member, label in labels.items()]


def metric_choices() -> list[tuple[str, str]]:
    """Return the metrics that a limit may be put on, by title."""
    return sorted(((each.name, f"{each.title} ({each.unit})") for each in METRICS.values()), key=lambda pair: pair[1])


class Policy(Managed):
    """A limit: the condition `metric operator threshold`, which must hold for all that is in scope."""

    CHANGEABLE = (
        *("name", "description", "type", "metric", "operator", "threshold", "scope", "scope_ids", "enabled"),
        *("priority", "on_breach", "window_s", "owner", "regulatory_tags"),
        *("mode", "active_windows", "effective_from", "effective_until", "rollout_percent", "test_group"),
        *("volatility_symbol", "volatility_reference", "volatility_least", "volatility_most"),
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    type = models.CharField(max_length=10, choices=_choices(TYPE_LABELS), default=PolicyType.HARD.value)
    metric = models.CharField(max_length=40, choices=metric_choices)
    operator = models.CharField(max_length=2, choices=_choices(OPERATOR_LABELS), default=Operator.AT_MOST.value)
    threshold = BoundedDecimalField(
        max_digits=20,
        decimal_places=8,
        bounds=THRESHOLD,
        help_text="In the metric's unit; fractions as such: 0.05 is 5 %.",
    )
    scope = models.CharField(max_length=10, choices=_choices(SCOPE_LABELS), default=Scope.GLOBAL.value)
    scope_ids = NameListField(
        verbose_name="applies to",
        help_text="Which exchanges, accounts, strategies, symbols or profiles, separated by commas; "
        "empty for every account.",
    )
    enabled = models.BooleanField(default=True, help_text="Only enabled policies are in the book.")
    priority = models.PositiveSmallIntegerField(
        default=100, validators=[MaxValueValidator(1000)], help_text="From 0 to 1000; lower is reported first."
    )
    on_breach = models.CharField(max_length=10, choices=_choices(ON_BREACH_LABELS), default=OnBreach.BLOCK.value)
    window_s = models.PositiveIntegerField(
        verbose_name="window (s)",
        default=0,
        validators=[MaxValueValidator(LONGEST_WINDOW_S)],
        help_text="Seconds over which a counting metric counts; 0 for all others.",
    )
    owner = models.CharField(max_length=120, blank=True, help_text="Who answers for this limit.")
    regulatory_tags = NameListField(help_text="Rules that it serves, separated by commas: 15c3-5, RTS 6.")

    mode = models.CharField(max_length=7, choices=_choices(MODE_LABELS), default=Mode.ENFORCE.value)
    active_windows = WindowListField(
        help_text="When it is in force, one window a line, as Mon-Fri 09:30-16:00 America/New_York; empty: always."
    )
    effective_from = models.DateTimeField(null=True, blank=True, help_text="UTC; empty: as soon as it is published.")
    effective_until = models.DateTimeField(null=True, blank=True, help_text="UTC; empty: without end.")
    rollout_percent = models.PositiveSmallIntegerField(
        verbose_name="rollout (%)",
        default=100,
        validators=[MaxValueValidator(100)],
        help_text="Of so many accounts in a hundred it is enforced, and in shadow on the others. Who is reached stays.",
    )
    test_group = models.CharField(
        max_length=64, blank=True, help_text="Policies of one group reach the same accounts; empty: a group of its own."
    )
    volatility_symbol = SymbolField(
        verbose_name="follows the volatility of",
        max_length=32,
        blank=True,
        validators=[validate_symbol],
        help_text="The threshold follows this symbol's volatility; empty: it stays as it is.",
    )
    volatility_reference = BoundedDecimalField(
        verbose_name="usual volatility",
        max_digits=20,
        decimal_places=8,
        bounds=VOLATILITY,
        default=Decimal(0),
        help_text="Annualised volatility at which the threshold is as written: 0.6 is 60 %.",
    )
    volatility_least = BoundedDecimalField(
        verbose_name="lowest factor",
        max_digits=20,
        decimal_places=8,
        bounds=FACTOR,
        default=Decimal("0.5"),
        help_text="The threshold is multiplied by reference / current volatility, never by less than this.",
    )
    volatility_most = BoundedDecimalField(
        verbose_name="highest factor",
        max_digits=20,
        decimal_places=8,
        bounds=FACTOR,
        default=Decimal(1),
        help_text="And never by more than this.",
    )

    history = history()

    class Meta(Managed.Meta):
        ordering = ("priority", "name")
        verbose_name_plural = "policies"
        constraints = [
            THRESHOLD.constraint("threshold", "policy_threshold_range"),
            one_of("type", PolicyType, "policy_type_known"),
            one_of("operator", Operator, "policy_operator_known"),
            one_of("scope", Scope, "policy_scope_known"),
            one_of("on_breach", OnBreach, "policy_on_breach_known"),
            one_of("mode", Mode, "policy_mode_known"),
            VOLATILITY.constraint("volatility_reference", "policy_volatility_range"),
            FACTOR.constraint("volatility_least", "policy_volatility_least_range"),
            FACTOR.constraint("volatility_most", "policy_volatility_most_range"),
            models.CheckConstraint(
                condition=Q(volatility_least__lte=F("volatility_most")),
                name="policy_volatility_order",
                violation_error_message=_LEAST_ABOVE_MOST,
            ),
            models.CheckConstraint(
                condition=Q(effective_from=None) | Q(effective_until=None) | Q(effective_from__lt=F("effective_until")),
                name="policy_effective_order",
                violation_error_message=_ENDS_FIRST,
            ),
            models.CheckConstraint(condition=Q(rollout_percent__lte=100), name="policy_rollout_range"),
            models.CheckConstraint(condition=Q(priority__lte=1000), name="policy_priority_range"),
            models.CheckConstraint(condition=Q(window_s__lte=LONGEST_WINDOW_S), name="policy_window_range"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Check what the fields say together. Raises ValidationError by field."""
        if self.scope not in SCOPE_LABELS:
            return  # the field itself is refused
        self._check_window()
        self._check_scope()
        self._check_volatility()
        self._check_moments()
        if self.type == PolicyType.EMERGENCY and self._kind() is Kind.ORDER:
            raise ValidationError(
                {"type": f"{self.metric} is a figure of an order, which nothing watches between orders: choose hard."}
            )

    def listed(self) -> Listed | None:
        """Return the accounts or profiles that it applies to; any exchange, strategy or symbol may be named."""
        model = {Scope.ACCOUNT: Account, Scope.PROFILE: CapitalProfile}.get(Scope(self.scope))
        return None if model is None else ("scope_ids", model, self.scope_ids)

    @property
    def volatility_scale(self) -> VolatilityScale | None:
        """Return how the threshold follows a volatility, None where it stays as it is."""
        if not self.volatility_symbol:
            return None
        return VolatilityScale(
            symbol=self.volatility_symbol,
            reference=tidy(self.volatility_reference),
            least=tidy(self.volatility_least),
            most=tidy(self.volatility_most),
        )

    def _kind(self) -> Kind | None:
        metric = METRICS.get(self.metric)
        return metric.kind if metric is not None else None

    def _check_window(self) -> None:
        if self.metric in WINDOWED and not self.window_s:
            raise ValidationError({"window_s": f"{self.metric} counts over a window: say its length in seconds."})
        if self.metric not in WINDOWED and self.window_s:
            raise ValidationError({"window_s": f"{self.metric} does not count over a window: leave this 0."})

    def _check_volatility(self) -> None:
        if None in (self.threshold, self.volatility_reference, self.volatility_least, self.volatility_most):
            return  # the field itself is refused
        if self.volatility_least > self.volatility_most:
            raise ValidationError({"volatility_least": _LEAST_ABOVE_MOST})
        if not self.volatility_symbol:
            return
        if self.volatility_reference <= 0:
            raise ValidationError({"volatility_reference": "Say at which volatility the threshold is as written."})
        if self.operator not in (Operator.AT_MOST, Operator.BELOW) or self.threshold <= 0:
            raise ValidationError({"volatility_symbol": "Only a ceiling above 0 can follow a volatility."})

    def _check_moments(self) -> None:
        since, until = self.effective_from, self.effective_until
        if since is not None and until is not None and since >= until:
            raise ValidationError({"effective_until": _ENDS_FIRST})

    def _check_scope(self) -> None:
        scope = Scope(self.scope)
        if scope in (Scope.SYMBOL, Scope.EXCHANGE):
            # As orders have them.
            self.scope_ids = sorted({each.upper() for each in self.scope_ids})
            refused = ", ".join(each for each in self.scope_ids if not each.isascii() or KEY_SEPARATOR in each)
            if refused:
                raise ValidationError(
                    {"scope_ids": f"No order can name {refused}: ASCII without {KEY_SEPARATOR} only."}
                )
        if scope is Scope.GLOBAL and self.scope_ids:
            raise ValidationError({"scope_ids": "A policy for every account names none: leave this empty."})
        if scope is not Scope.GLOBAL and not self.scope_ids:
            raise ValidationError({"scope_ids": f"Say which {SCOPE_LABELS[scope]} it applies to."})
