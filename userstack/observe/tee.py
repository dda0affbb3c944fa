"""One tracer made of several."""

from userstack.trace import Event, Tracer


def tee(*tracers: Tracer) -> Tracer:
    """A tracer that hands each event to all of them, in their order."""
    if len(tracers) == 1:
        return tracers[0]

    def trace(event: Event) -> None:
        for tracer in tracers:
            tracer(event)

    return trace
