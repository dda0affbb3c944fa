"""All that a connection is, in plain values: to hold two of them against each other."""

from collections.abc import Mapping
from enum import Enum

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.sim import VirtualHost


def dump(value: object, seen: frozenset[int] = frozenset()) -> object:
    """Numbers, octets and containers of them; what the host shares, and what leads back, is left out."""
    if value is None or isinstance(value, bool | int | float | str | Enum):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if id(value) in seen or isinstance(value, StackConfig | Counters) or callable(value):
        return type(value).__name__
    seen |= {id(value)}
    if isinstance(value, Mapping):
        return [(dump(key, seen), dump(item, seen)) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset) or hasattr(value, "popleft"):
        return [dump(item, seen) for item in value]  # type: ignore[attr-defined]
    slots = [name for cls in type(value).__mro__ for name in _attributes(cls) if name != "__weakref__"]
    return type(value).__name__, [(name, dump(getattr(value, name, None), seen)) for name in slots]


def _attributes(cls: type) -> tuple[str, ...]:
    """Those of its objects, of a compiled class too."""
    names: tuple[str, ...] = cls.__dict__.get("__mypyc_attrs__", cls.__dict__.get("__slots__", ()))
    return names


def dump_host(host: VirtualHost) -> list[object]:
    """Every connection of a host, and its counters."""
    core = host._engine.core
    machines = [(str(key), dump(entry.machine)) for key, entry in core.transport.table.entries.items()]
    return [machines, core.counters.snapshot()]
