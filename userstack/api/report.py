"""A stack's state as JSON can carry it: for the control socket. Times are nanoseconds, sizes bytes, addresses text."""

import os
from dataclasses import asdict
from typing import Any

from userstack.address import Endpoint
from userstack.api.names import scoped_text
from userstack.api.worker import Worker
from userstack.net.host import Host
from userstack.net.table import ConnectionRow
from userstack.runtime.device import PacketDevice
from userstack.tcp import linux_info
from userstack.tcp.info import ConnectionInfo


def row(line: ConnectionRow, device: PacketDevice, now: int) -> dict[str, Any]:
    """A line of netstat; ``expires_in`` counts from now, and ``info`` is null where there is no connection any more."""
    return {
        "local": _endpoint(line.local, device),
        "remote": _endpoint(line.remote, device),
        "state": line.state.value,
        "timer": line.timer,
        "expires_in": None if line.expires is None else line.expires - now,
        "recv_q": line.recv_q,
        "send_q": line.send_q,
        "info": None if line.connection is None else _info(line.connection.info(now=now), now),
    }


def stack(host: Host, device: PacketDevice, worker: Worker | None = None) -> dict[str, Any]:
    """What stack it is: process, device, addresses; and which of how many workers of which process, null where it is none."""
    return {
        "pid": os.getpid(),
        "device": device.name,
        "level": device.level,
        "mtu": device.mtu,
        "mac": device.mac.hex(":") if device.mac is not None else None,
        "addresses": [str(interface) for interface in host.interfaces],
        "codec": host.codec.name,
        "worker": None if worker is None else worker._asdict(),
    }


def _info(info: ConnectionInfo, now: int) -> dict[str, Any]:
    values = asdict(info)
    for name in ("state", "local", "remote", "timer"):
        del values[name]
    values["phase"] = info.phase.value
    values["tcp_info"] = linux_info.values(info)
    pending = values.pop("pending_expires")
    values["pending_expires_in"] = None if pending is None else pending - now
    expires = values.pop("timer_expires")
    return {**values, "expires_in": None if expires is None else expires - now}


def _endpoint(endpoint: Endpoint | None, device: PacketDevice) -> dict[str, Any] | None:
    if endpoint is None:
        return None
    return {"address": scoped_text(endpoint.address, device=device.name), "port": endpoint.port}
