"""CPU microseconds of each stage of a check, in one process, on one real check taken apart.

python -m bench.stages      (on the servers that the environment names)
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec
from msgspec import Raw, Struct

from api.ids import new_decision_id
from api.wire import read_order, with_time
from bench.sample import Sample, take_sample
from bench.value_at_risk import decide_with_and_without
from feeds.books import CompiledBooks
from riskcore import case
from riskcore.book import encode_book
from riskcore.decide import decide, encode_decision
from riskcore.engine import check_steps
from riskcore.journal import DecisionEntry
from riskcore.ports import Commit, Committed, Load, Loaded
from state import keys
from state.driver import run_sync
from state.redis_codec import decode_committed, decode_loaded, encode_commit, encode_load
from state.redis_scripts import COMMIT, LOAD
from state.redis_wire import pack

_ROUNDS = 7


class Stage(Struct, frozen=True):
    """One stage and its CPU time in microseconds."""

    name: str
    us: float


class _InstantStore:
    """Answers at once, with what the sample's store answered."""

    def __init__(self, sample: Sample) -> None:
        self._loaded, self._committed = sample.loaded, Committed()

    def load(self, load: Load) -> Loaded:
        return self._loaded

    def commit(self, commit: Commit) -> Committed:
        return self._committed


def measure(adding: Sample, closing: Sample, *, seconds: float) -> list[Stage]:
    """Return every stage's time; all of it takes about so many seconds."""
    stages = _stages(adding)
    stages["decide, an order against a position"] = lambda: decide(closing.inputs, closing.book)
    stages |= decide_with_and_without()
    stages["whole engine on a store that answers at once"] = _whole_engine(adding)
    stages["whole engine, an order against a position"] = _whole_engine(closing)
    each_s = seconds / (len(stages) * _ROUNDS)
    gc.collect()
    gc.freeze()  # as a server does after its start
    return [Stage(name, time_us(work, each_s)) for name, work in stages.items()]


def _stages(sample: Sample) -> dict[str, Callable[[], Any]]:
    outcome = decide(sample.inputs, sample.book)
    content = encode_decision(outcome.decision)
    encode = msgspec.json.Encoder().encode
    assert sample.inputs.state, "the sample is of an account with a state"
    state = bytes(sample.inputs.state)

    def forget_and_decide() -> object:
        case._states.clear()
        return decide(sample.inputs, sample.book)

    return {
        "decode the order": lambda: read_order(sample.body),
        "encode the load": lambda: pack(("EVALSHA", LOAD.digest, 1, keys.prefix(0), encode_load(sample.load))),
        "decode the load's reply": lambda: decode_loaded(sample.raw, sample.load),
        "decide, an order that adds to a position": lambda: decide(sample.inputs, sample.book),
        "  the same with an account state not seen before": forget_and_decide,
        "    of which decoding that state": lambda: case._state_decoder.decode(state),
        "encode the decision": lambda: encode_decision(outcome.decision),
        "encode the journal entry": lambda: encode(DecisionEntry(inputs=sample.inputs, decision=Raw(content))),
        "encode the commit": lambda: pack(("EVALSHA", COMMIT.digest, 1, keys.prefix(0), *encode_commit(sample.commit))),
        "decode the commit's reply": lambda: decode_committed(1, sample.commit),
        "add the time to the answer": lambda: with_time(content, 1000),
    }


def _whole_engine(sample: Sample) -> Callable[[], Any]:
    store, books = _InstantStore(sample), CompiledBooks()
    books.put(sample.book.version, encode_book(sample.book.book))

    def run() -> object:
        steps = check_steps((sample.order,), new_id=new_decision_id, known=sample.book)
        return run_sync(steps, store, books)  # type: ignore[arg-type] # as much of a Store as is used

    return run


def time_us(work: Callable[[], Any], seconds: float) -> float:
    """Return the CPU time of one call: the median of several rounds, each of many calls."""
    work()
    started = time.process_time()
    for _ in range(20):
        work()
    calls = max(20, int(seconds / max((time.process_time() - started) / 20, 1e-7)))
    rounds = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        for _ in range(calls):
            work()
        rounds.append((time.process_time() - started) / calls * 1e6)
    return median(rounds)


def main() -> None:
    """Measure for as many seconds as the first argument says, and write the stages as JSON."""
    url = os.environ["REDIS_URL"]
    adding, closing = take_sample(url), take_sample(url, closing=True)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    sys.stdout.write(msgspec.json.encode(measure(adding, closing, seconds=seconds)).decode())


if __name__ == "__main__":
    main()
