"""Runs a call on a thread that has less than the test: privileges and mounts belong to a thread, so nothing else is touched."""

import ctypes
import os
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_REMOUNT, MS_BIND = 0x1, 0x20, 0x1000
MS_REC_PRIVATE = 0x4000 | 0x40000
CAPABILITY_VERSION_3 = 0x20080522


def without_capabilities(call: Callable[[], T]) -> T:
    """Run ``call`` without any capability, as for a user who is not root."""

    def drop() -> None:
        _check(_libc().capset(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24)))

    return _on_thread(drop, call)


def without_tun(call: Callable[[], T]) -> T:
    """Run ``call`` where /dev/net is empty, as in a container without --device /dev/net/tun."""

    def hide() -> None:
        _check(_libc().unshare(CLONE_NEWNS))
        _check(_libc().mount(b"none", b"/", None, MS_REC_PRIVATE, None))
        _check(_libc().mount(b"none", b"/dev/net", b"tmpfs", 0, None))

    return _on_thread(hide, call)


def with_read_only_settings(call: Callable[[], T]) -> T:
    """Run ``call`` where /proc/sys cannot be written, as in a container without privileges."""

    def protect() -> None:
        _check(_libc().unshare(CLONE_NEWNS))
        _check(_libc().mount(b"none", b"/", None, MS_REC_PRIVATE, None))
        _check(_libc().mount(b"/proc/sys", b"/proc/sys", None, MS_BIND, None))
        _check(_libc().mount(b"none", b"/proc/sys", None, MS_REMOUNT | MS_BIND | MS_RDONLY, None))

    return _on_thread(protect, call)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _on_thread(confine: Callable[[], None], call: Callable[[], T]) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            confine()
            results.append(call())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures.pop()
    return results.pop()
