"""The objects that connections share as long as nothing has happened to them; what one of them wrote there all would read."""

from typing import Any

from tests.support.dump import dump
from userstack.config import StackConfig
from userstack.tcp import chronograph, delayed_ack, delivery, fastopen, nothing_sent, probing, receiver_rtt, sack, tally

PAIRS: list[tuple[Any, Any]] = [
    (tally.NOTHING_TALLIED, tally.Tally()),
    (chronograph.NEVER_BUSY, chronograph.Chronograph()),
    (delayed_ack.NOTHING_ARRIVED, delayed_ack.DelayedAck(StackConfig())),
    (delivery.NOTHING_DELIVERED, delivery.Delivery()),
    (delivery.SYN_DELIVERED, delivery.Delivery(1)),
    (receiver_rtt.NOTHING_MEASURED, receiver_rtt.ReceiverRtt()),
    (sack.NOTHING_TO_REPORT, sack.SackReport()),
    (nothing_sent.NOTHING_SENT, nothing_sent.NothingSent()),
    (probing.NOT_PROBING, probing.Probing()),
    (fastopen.NO_FAST_OPEN, fastopen.FastOpen()),
]
"""Each, and another that is new."""


def written_to() -> list[str]:
    """Those that are not as they were made."""
    return [type(shared).__name__ for shared, new in PAIRS if dump(shared) != dump(new)]
