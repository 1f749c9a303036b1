"""How property tests are run: the same examples every time, nothing kept between runs, however slow the machine.

The plugin of the tests makes it the rule for all of them; those that want more examples than usual, or fewer, say so.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def examples(number: int) -> settings:
    """Return settings that try this many examples, always the same ones, however slow the machine."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


def make_it_the_rule() -> None:
    """Run every property test like this: with Hypothesis' own 100 examples, and none of its deadlines."""
    settings.register_profile("any machine", examples(100))
    settings.load_profile("any machine")
