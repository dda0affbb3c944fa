"""userstack: a TCP stack in user space, after RFC 9293 clause by clause.

>>> import asyncio, userstack
>>> async def main() -> bytes:
...     async with userstack.memory("10.0.0.1/24", "10.0.0.2/24") as (ours, theirs):
...         listener = await theirs.listen(80)
...         connection = await ours.connect("10.0.0.2", 80)
...         async with connection, await listener.accept() as accepted:
...             await accepted.send(b"hello")
...             return await connection.recv()
>>> asyncio.run(main())
b'hello'

The public names are imported when they are first asked for: who wants the sans-I/O core alone imports ``userstack.tcp`` and gets no
event loop and no scapy with it. ``__init__.pyi`` tells type checkers the same names.
"""

import importlib

_HOMES = {
    "userstack.address": ("Endpoint",),
    "userstack.api.connection": (
        "SHUT_RD",
        "SHUT_RDWR",
        "SHUT_WR",
        "Connection",
    ),
    "userstack.api.errors": (
        "Busy",
        "ClosedHandle",
        "NoSuchOption",
    ),
    "userstack.api.links": (
        "interface",
        "link",
        "memory",
        "tap",
        "tun",
        "veth",
    ),
    "userstack.api.listener": ("Listener",),
    "userstack.api.settings": ("Settings",),
    "userstack.api.stack": ("Stack",),
    "userstack.api.worker": ("Worker",),
    "userstack.api.workers": ("run",),
    "userstack.config": ("StackConfig",),
    "userstack.counters": ("Counters",),
    "userstack.errors": (
        "CallerError",
        "NetworkError",
        "PeerError",
        "SetupError",
        "UserstackError",
        "WorkerEnded",
    ),
    "userstack.packetio.impairment": ("Impairment",),
    "userstack.tcp.info": ("ConnectionInfo",),
    "userstack.tcp.report": (
        "Reason",
        "Report",
    ),
    "userstack.tcp.state": ("State",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
