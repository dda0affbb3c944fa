"""The machine's clock."""

from userstack.runtime.clock import MonotonicClock


def test_time_never_goes_back() -> None:
    clock = MonotonicClock()
    times = [clock.now() for _ in range(1000)]
    assert times == sorted(times)
    assert times[0] > 0
