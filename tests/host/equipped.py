"""A device of the kernel's in a namespace, with whatever ``ip`` is told to give it."""

from tests.support.netns import DEVICE_PREFIX, KernelNamespace
from userstack.host.links import create_veth, set_link, wait_until_running

OURS, THEIRS = f"{DEVICE_PREFIX}o", f"{DEVICE_PREFIX}t"


def device_with(kernel: KernelNamespace, lines: list[str]) -> None:
    """A device, and what ``ip`` is told to give it."""
    create_veth(OURS, THEIRS, namespace=kernel.name)
    for device in (OURS, THEIRS):
        set_link(device, namespace=kernel.name, up=True)
    wait_until_running(OURS, namespace=kernel.name)
    for line in lines:
        ip(kernel, line.replace("DEV", OURS).replace("OTHER", THEIRS))


def ip(kernel: KernelNamespace, line: str) -> str:
    done = kernel.run(["ip", *line.split()])
    assert done.returncode == 0, (line, done.stderr)
    return str(done.stdout.decode())
