"""A tracer that fails harms nobody, and is named."""

from typing import Any

from tests.support.stacks import connect, turns, two_stacks, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack.runtime.tracing import guarded
from userstack.trace import Event, PacketSent


@virtual_time
async def test_a_tracer_that_fails_is_named_and_the_stack_has_no_bug() -> None:
    told: list[dict[str, Any]] = []
    virtual_loop().set_exception_handler(lambda _, context: told.append(context))
    failing: list[Exception] = []

    def watcher(event: Event) -> None:
        if failing and isinstance(event, PacketSent):
            raise failing[0]

    async with two_stacks(trace=watcher) as (first, second):
        client, server = await connect(first, second)
        failing.append(KeyError("theirs"))
        await client.send(b"arrives all the same")
        await turns()
        assert server.info().unread == len(b"arrives all the same")
        assert first.counters["UserstackBugs"] == 0
        failing.clear()
    assert told
    assert "the tracer test_a_tracer_that_fails_is_named_and_the_stack_has_no_bug.<locals>.watcher failed" in told[0]["message"]
    assert "PacketSent" in told[0]["message"]
    assert isinstance(told[0]["exception"], KeyError)


@virtual_time
async def test_a_tracer_without_a_name_is_told_by_what_it_is() -> None:
    class Watcher:
        def __call__(self, event: Event) -> None:
            raise KeyError

        def __repr__(self) -> str:
            return "<a watcher>"

    told: list[dict[str, Any]] = []
    virtual_loop().set_exception_handler(lambda _, context: told.append(context))
    guarded(Watcher())(PacketSent(0, b""))
    assert told[0]["message"] == "userstack: the tracer <a watcher> failed at a PacketSent"
