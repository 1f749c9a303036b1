"""What SEC Rule 15c3-5 and Commission Delegated Regulation (EU) 2017/589 (RTS 6) ask for, in our own short words.

17 CFR 240.15c3-5, and OJ L 87, 31.3.2017, p. 417, articles 12 to 18. No more than a map: the texts are what counts.
"""

from __future__ import annotations

from msgspec import Struct

from reports.assessment.probes import (
    Probe,
    access,
    alerts,
    books,
    drill,
    four_eyes,
    gate,
    limits_on,
    lock_outs,
    monitor,
    overrides,
    refused_for,
    review,
    rights,
)
from riskcore.reasons import Reason

SEC = "SEC Rule 15c3-5"
RTS = "RTS 6"
# The tag by which officers mark a limit that serves a rule (SPEC 5).
TAGS = {SEC: "15c3-5", RTS: "RTS 6"}


class Requirement(Struct, frozen=True):
    """One requirement. `control` is what meets it here, or who has to; without a probe it is outside this system."""

    rule: str
    paragraph: str
    requires: str
    control: str
    probes: tuple[Probe, ...] = ()


_EXPOSURE = limits_on("gross_exposure", "net_exposure", "leverage", "position_value", "concentration", "daily_notional")
_CAPITAL = limits_on("margin_ratio", "margin_available", "drawdown_daily", "drawdown_max", "daily_loss", "weekly_loss")
_MARGIN = refused_for("orders that margin did not allow", Reason.INSUFFICIENT_MARGIN)
_COLLAR = limits_on("price_deviation")
_VALUE = limits_on("order_notional", "single_trade_risk")
_SIZE = limits_on("order_notional", "single_trade_risk", "order_quantity", "order_adv_share")
_VOLUME = limits_on("order_quantity", "order_adv_share")
_MESSAGES = limits_on("order_rate")
_RATIO = limits_on("order_to_trade")
_REPEATS = limits_on("repeated_orders", "consecutive_rejects")
_DUPLICATES = refused_for("orders under an id of another order", Reason.DUPLICATE_ORDER)
_STOPS = gate("Emergency stop")
_RESTRICTED = gate("Restricted symbols")

_SEC = (
    Requirement(
        SEC,
        "(b)",
        "A system of risk management controls over market access is established, documented and maintained.",
        "Policy books: every limit in force, numbered, hashed, and kept for ever.",
        (books,),
    ),
    Requirement(
        SEC,
        "(b)",
        "Supervisory procedures and a written description of the controls are kept as books and records.",
        "The firm's own procedures. The report on limits as of a moment describes what was in force.",
    ),
    Requirement(
        SEC,
        "(c)(1)(i)",
        "Orders that would exceed pre-set credit or capital thresholds are prevented.",
        "Limits on exposure, leverage, margin and loss, capital profiles, and the margin check, before every order.",
        (_EXPOSURE, _CAPITAL, _MARGIN),
    ),
    Requirement(
        SEC,
        "(c)(1)(ii)",
        "Erroneous orders are prevented: those beyond price parameters, order by order.",
        "Price collar: distance from the reference price, market orders included.",
        (_COLLAR,),
    ),
    Requirement(
        SEC,
        "(c)(1)(ii)",
        "Erroneous orders are prevented: those beyond size parameters, order by order.",
        "Largest notional of an order, by itself or against equity, and largest quantity, also against a day's volume.",
        (_SIZE,),
    ),
    Requirement(
        SEC,
        "(c)(1)(ii)",
        "Erroneous orders are prevented: those beyond parameters over a short period of time.",
        "Limits on the rate of orders, and on rejects in a row.",
        (limits_on("order_rate", "repeated_orders", "consecutive_rejects"),),
    ),
    Requirement(
        SEC,
        "(c)(1)(ii)",
        "Erroneous orders are prevented: duplicates.",
        "An id is good for one order of an account; limits on identical orders in a row.",
        (_DUPLICATES, limits_on("repeated_orders")),
    ),
    Requirement(
        SEC,
        "(c)(2)(i)",
        "Orders are prevented unless all that regulation asks for before entry is complied with.",
        "Checks of the market's own rules, such as locates for short sales: the OMS and the firm's compliance.",
    ),
    Requirement(
        SEC,
        "(c)(2)(ii)",
        "Orders in securities that somebody is restricted from trading are prevented.",
        "Restricted symbols, for all or for one account, one side or both; strategies that a profile allows.",
        (_RESTRICTED, gate("Allowed strategies")),
    ),
    Requirement(
        SEC,
        "(c)(2)(iii)",
        "Access to trading systems is restricted to persons and accounts that are approved and authorised.",
        "Accounts that officers know and enable, roles, API keys for some accounts, lock-out, second factor.",
        (access, rights, lock_outs, refused_for("orders of unknown or disabled accounts", Reason.UNKNOWN_ACCOUNT)),
    ),
    Requirement(
        SEC,
        "(c)(2)(iv)",
        "Surveillance personnel receive immediate post-trade execution reports.",
        "Execution reports come from the OMS and the venues; alerts and the live pages do not stand in for them.",
    ),
    Requirement(
        SEC,
        "(d)",
        "The controls are under the direct and exclusive control of the broker or dealer.",
        "Change requests: who, why, before and after; looser limits need a second person; all of it in the audit log.",
        (four_eyes, rights),
    ),
    Requirement(
        SEC,
        "(e)(1)",
        "The effectiveness of the controls is reviewed regularly, no less than once a year, and the review documented.",
        "The report on the effectiveness of controls, and drills of the stop; the review itself is the firm's.",
        (review, drill),
    ),
    Requirement(
        SEC,
        "(e)(2)",
        "The chief executive officer certifies each year that the controls comply.",
        "The firm. Nothing here certifies anything.",
    ),
)

_RTS = (
    Requirement(
        RTS,
        "Art. 12(1)-(2)",
        "Kill functionality: any or all unexecuted orders can be cancelled at once, also those of a desk or a client.",
        "Emergency stop by account, strategy, exchange, symbol or everywhere: blocks, and has the OMS cancel all.",
        (_STOPS, drill),
    ),
    Requirement(
        RTS,
        "Art. 12(3)",
        "It is known which algorithm and which trader, desk or client is responsible for each order.",
        "Account and strategy of every decision; the trader behind them is known to the OMS.",
        (refused_for("orders of unknown or disabled accounts", Reason.UNKNOWN_ACCOUNT),),
    ),
    Requirement(
        RTS,
        "Art. 13",
        "Automated surveillance detects what may be market manipulation.",
        "A surveillance system of the firm, which may read the recorded decisions.",
    ),
    Requirement(
        RTS,
        "Art. 14",
        "Business continuity arrangements for the trading systems are in place and reviewed.",
        "The firm's plan. Stops, books and decisions here outlive the loss of any one server (runbook).",
    ),
    Requirement(
        RTS, "Art. 15(1)(a)", "Price collars block orders that are not priced right.", "Price collar.", (_COLLAR,)
    ),
    Requirement(RTS, "Art. 15(1)(b)", "A maximum order value.", "Limits on the notional of an order.", (_VALUE,)),
    Requirement(
        RTS,
        "Art. 15(1)(c)",
        "A maximum order volume.",
        "Limits on the quantity of an order, by itself or as a share of what trades in a day.",
        (_VOLUME,),
    ),
    Requirement(
        RTS,
        "Art. 15(1)(d)",
        "A maximum of messages.",
        "Limits on the rate of orders, by account, strategy or symbol, and on the orders for each trade of a day.",
        (_MESSAGES, _RATIO),
    ),
    Requirement(
        RTS,
        "Art. 15(2)",
        "All orders that were sent count towards the limits at once.",
        "Reservations: an approved order counts as exposure from its approval on.",
        (limits_on("gross_exposure", "leverage", "open_orders", "pending_notional", "position_value"),),
    ),
    Requirement(
        RTS,
        "Art. 15(3)",
        "Repeated automated execution is throttled, until staff re-enable it.",
        "Limits on repeated orders and consecutive rejects; the circuit breaker, which people re-enable after.",
        (_REPEATS, gate("Circuit breaker")),
    ),
    Requirement(
        RTS,
        "Art. 15(4)",
        "Limits on market and credit risk fit the capital, the strategy and the tolerance of risk.",
        "Limits on exposure, loss and value at risk, and capital profiles; thresholds may follow volatility.",
        (_EXPOSURE, _CAPITAL, limits_on("var_95", "var_99", "es_95", "es_99")),
    ),
    Requirement(
        RTS,
        "Art. 15(5)",
        "Orders are blocked of who may not trade an instrument.",
        "Restricted symbols, for all or for one account; strategies that a profile allows. Traders are the OMS's.",
        (_RESTRICTED, gate("Allowed strategies")),
    ),
    Requirement(
        RTS,
        "Art. 15(5)",
        "Orders are blocked that would break risk thresholds of a client, an instrument, a desk or the whole firm.",
        "Limits by account, symbol, exchange, strategy and profile; the risk of the firm as a whole.",
        (_EXPOSURE, gate("Risk of the firm")),
    ),
    Requirement(
        RTS,
        "Art. 15(6)",
        "Orders that were blocked go only by exception, for a time, verified by risk management and authorised.",
        "Overrides: asked for by one, approved by another, for a time and a budget, each use counted.",
        (overrides,),
    ),
    Requirement(
        RTS,
        "Art. 16(1)-(2)",
        "Trading is monitored in real time, by the trader in charge and by an independent function of risk control.",
        "The monitor looks at every account each second; live pages by account. Who watches them is the firm's.",
        (monitor,),
    ),
    Requirement(
        RTS,
        "Art. 16(4)-(5)",
        "Alerts come in real time, within five seconds of the event.",
        "Alerts on the pages, by NATS, webhook and e-mail.",
        (alerts,),
    ),
    Requirement(
        RTS,
        "Art. 17(1)-(2)",
        "Post-trade controls run all the time, with an assessment of market and credit risk by effective exposure.",
        "The monitor's limits on exposure, drawdown and loss; emergency limits and the circuit breaker stop trading.",
        (
            monitor,
            limits_on("drawdown_daily", "drawdown_rapid", "daily_loss", "position_loss"),
            gate("Circuit breaker"),
        ),
    ),
    Requirement(
        RTS,
        "Art. 17(3)",
        "The firm's own logs are reconciled with those of venues, brokers and clearers.",
        "The firm's reconciliation. Decisions can be taken away as files for it.",
    ),
    Requirement(
        RTS,
        "Art. 17(4)",
        "For derivatives, the largest long and short positions, and those of a strategy, are controlled.",
        "Limits on positions, by symbol and by strategy.",
        (limits_on("position_value", "net_exposure", "open_positions"),),
    ),
    Requirement(
        RTS,
        "Art. 18(1)-(3)",
        "An IT strategy and information security, and notice to the authority of breaches.",
        "The firm.",
    ),
    Requirement(RTS, "Art. 18(4)", "Penetration tests and vulnerability scans, once a year.", "The firm."),
    Requirement(
        RTS,
        "Art. 18(5)",
        "Persons with critical access are known, as few as may be, and what they do can be traced.",
        "People, roles and keys, whose changes and sign-ins are in the audit log.",
        (access, rights, lock_outs),
    ),
)

REQUIREMENTS = (*_SEC, *_RTS)
