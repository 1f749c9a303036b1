"""What outlives the live state: baselines of accounts, and the history of prices and equity."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q

from policies.validation import Between, one_of

# What an amount may have on the wire (feeds.values): 20 digits before the point and 12 after it.
_DIGITS, _PLACES = 32, 12

PRICE = Between("0", "1000000000000000", open_below=True)
VOLUME = Between("0", "10000000000000000000")
EQUITY = Between("-1000000000000000", "1000000000000000")
FIGURE = Between("0", "10000000000000000000")


class AccountBaseline(models.Model):
    """The last state of an account that was kept: its peak and its equity at the day's and week's start.

    `state` is the JSON of riskcore.types.AccountState, `at` when it was received.
    """

    account_id = models.CharField(max_length=64, primary_key=True)
    state = models.TextField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering = ("account_id",)

    def __str__(self) -> str:
        return f"{self.account_id} at {self.at:%Y-%m-%d %H:%M:%S} UTC"


class Interval(models.TextChoices):
    """How long a bar is."""

    MINUTE = "1m", "minute"
    HOUR = "1h", "hour"
    DAY = "1d", "day"


class PriceBar(models.Model):
    """The prices of a symbol over a day, an hour or a minute, exact (to 15 digits where the database is SQLite).

    `start` is its first moment; of a day midnight UTC of its date, wherever the market is. `close` may be adjusted for
    splits and dividends, and then open, high and low are empty. `volume` in units of the symbol. Written by
    `feeds.price_import`, and by `feeds.bars` from the prices received: then `first_at` and `last_at` say when the first
    and the last of them were. One without them is somebody's word, which no price received changes.
    """

    symbol = models.CharField(max_length=32)
    interval = models.CharField(max_length=2, choices=Interval.choices)
    start = models.DateTimeField()
    open = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES, null=True)
    high = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES, null=True)
    low = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES, null=True)
    close = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES)
    volume = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES, null=True)
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("symbol", "interval", "start")
        indexes = [BrinIndex(fields=("start",), name="feeds_pricebar_start")]  # what is too old lies together
        constraints = [
            models.UniqueConstraint(fields=("symbol", "interval", "start"), name="feeds_pricebar_unique"),
            models.CheckConstraint(condition=~Q(symbol=""), name="feeds_pricebar_symbol"),
            one_of("interval", Interval, "feeds_pricebar_interval"),
            PRICE.constraint("open", "feeds_pricebar_open_range"),
            PRICE.constraint("high", "feeds_pricebar_high_range"),
            PRICE.constraint("low", "feeds_pricebar_low_range"),
            PRICE.constraint("close", "feeds_pricebar_close_range"),
            VOLUME.constraint("volume", "feeds_pricebar_volume_range"),
            # A comparison with an empty price is neither true nor false, which a constraint lets pass.
            models.CheckConstraint(condition=Q(high__gte=F("open")), name="feeds_pricebar_high_open"),
            models.CheckConstraint(condition=Q(high__gte=F("close")), name="feeds_pricebar_high_close"),
            models.CheckConstraint(condition=Q(high__gte=F("low")), name="feeds_pricebar_high_low"),
            models.CheckConstraint(condition=Q(low__lte=F("open")), name="feeds_pricebar_low_open"),
            models.CheckConstraint(condition=Q(low__lte=F("close")), name="feeds_pricebar_low_close"),
            models.CheckConstraint(
                condition=Q(first_at__isnull=True, last_at__isnull=True)
                | Q(first_at__isnull=False, last_at__isnull=False, first_at__lte=F("last_at")),
                name="feeds_pricebar_received",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval} from {self.start:%Y-%m-%d %H:%M} UTC: {self.close}"


class EquityPoint(models.Model):
    """The equity of an account at a moment, and its figures then; an empty `account_id`: of the firm.

    `equity` and `gross_exposure` in currency, `drawdown_daily` and `var_95` (one day) as fractions of equity: the
    metrics of these names, empty where they were not known. All to 12 decimals, and to 15 digits where the database is
    SQLite.
    """

    account_id = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()
    equity = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES)
    gross_exposure = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES, null=True)
    drawdown_daily = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES, null=True)
    var_95 = models.DecimalField(max_digits=_DIGITS, decimal_places=_PLACES, null=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("account_id", "at")
        indexes = [BrinIndex(fields=("at",), name="feeds_equitypoint_at")]
        constraints = [
            models.UniqueConstraint(fields=("account_id", "at"), name="feeds_equitypoint_unique"),
            EQUITY.constraint("equity", "feeds_equitypoint_equity_range"),
            FIGURE.constraint("gross_exposure", "feeds_equitypoint_gross_range"),
            FIGURE.constraint("drawdown_daily", "feeds_equitypoint_drawdown_range"),
            FIGURE.constraint("var_95", "feeds_equitypoint_var_range"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id or 'the firm'} at {self.at:%Y-%m-%d %H:%M:%S} UTC: {self.equity}"


class DeadLetter(models.Model):
    """A published message that could not be taken, as it came, and why.

    `replayed_at` and `replayed_by`: when it was taken after all, and who saw to it.
    """

    received_at = models.DateTimeField()
    subject = models.CharField(max_length=255)
    payload = models.BinaryField()
    error = models.TextField()
    replayed_at = models.DateTimeField(null=True)
    replayed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = (("replay_deadletter", "Can take dead letters after all"),)
        ordering = ("-id",)
        indexes = [models.Index(fields=("received_at",), name="feeds_deadletter_received")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.received_at:%Y-%m-%d %H:%M:%S} UTC"
