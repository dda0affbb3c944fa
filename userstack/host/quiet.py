"""Keeps the kernel's own IP away from a device that the stack speaks through.

Without an address on it the kernel answers for nothing there, but with forwarding on it would pass the stack's packets on, by its
own routes, out of other devices. Law: that is switched off for this device alone. Where /proc/sys is read-only, as in a container
without privileges, it stays as it is.
"""

from userstack.errors import SetupError
from userstack.host.inside import read_sysctl, write_sysctl


def stop_forwarding(device: str, *, namespace: str | None = None) -> bool:
    """Have the kernel forward no IPv4 packet that comes in through ``device``. True when that was on, and now is off."""
    return _switch(f"net/ipv4/conf/{device}/forwarding", "1", "0", namespace)


def allow_forwarding(device: str, *, namespace: str | None = None) -> None:
    """Undo ``stop_forwarding``.

    Raises:
        SetupError: the device is gone, or /proc/sys has become read-only.
    """
    write_sysctl(f"net/ipv4/conf/{device}/forwarding", "1", namespace=namespace)


def stop_ipv6(device: str, *, namespace: str | None = None) -> bool:
    """Have the kernel speak no IPv6 of its own on ``device``, and drop its addresses there. True when it did before."""
    return _switch(f"net/ipv6/conf/{device}/disable_ipv6", "0", "1", namespace)


def speaks_ipv6(device: str, *, namespace: str | None = None) -> bool:
    """Whether the kernel speaks IPv6 on ``device``; False too for a kernel that has none at all."""
    try:
        return read_sysctl(f"net/ipv6/conf/{device}/disable_ipv6", namespace=namespace) == "0"
    except SetupError:
        return False


def start_ipv6(device: str, *, namespace: str | None = None) -> bool:
    """Have the kernel speak IPv6 on ``device``, where it gives itself a link-local address. True when it did not before."""
    return _switch(f"net/ipv6/conf/{device}/disable_ipv6", "1", "0", namespace)


def _switch(setting: str, old: str, new: str, namespace: str | None) -> bool:
    try:
        if read_sysctl(setting, namespace=namespace) != old:
            return False
        write_sysctl(setting, new, namespace=namespace)
    except SetupError:
        return False
    return True
