"""A device of the kernel's in a namespace, with whatever ``ip`` is told to give it."""

from tests.support.netns import DEVICE_PREFIX, KernelNamespace
from userstack.host.links import create_veth, set_link, wait_until_running

OURS, THEIRS = f"{DEVICE_PREFIX}o", f"{DEVICE_PREFIX}t"


def device_with(kernel: KernelNamespace, lines: list[str]) -> None:
    """A device, and what ``ip`` is told to give it."""
    create_veth(OURS, THEIRS, namespace=kernel.name)
    for device in (OURS, THEIRS):
        set_link(device, namespace=kernel.name, up=True)
    for device in (OURS, THEIRS):
        wait_until_running(device, namespace=kernel.name)
    for line in lines:
        tell(kernel, line)


def tell(kernel: KernelNamespace, line: str) -> None:
    """Tell ``ip`` something about the device, which is DEV in it, or about its other end, OTHER."""
    ip(kernel, line.replace("DEV", OURS).replace("OTHER", THEIRS))


def ip(kernel: KernelNamespace, line: str) -> str:
    done = kernel.run(["ip", *line.split()])
    assert done.returncode == 0, (line, done.stderr)
    return str(done.stdout.decode())
