"""The machine's refusals as ``SetupError``: what was being done, why it failed, how to mend it. One line, whatever the source."""

import errno
import os
from collections.abc import Mapping

from pyroute2.netlink.exceptions import NetlinkError

from userstack.errors import SetupError

GRANT = (
    "run it with sudo, or give the interpreter the capabilities with: "
    "sudo setcap cap_net_admin,cap_net_raw+ep PYTHON (in a container: cap_add NET_ADMIN and NET_RAW)"
)
"""How a program comes by the privileges that devices need."""

COMMON_MENDS = {
    errno.EPERM: GRANT,
    errno.EACCES: GRANT,
    errno.ENODEV: "see which devices there are with: ip link",
    errno.EBUSY: "something else holds it: close that first",
}


def setup_error(doing: str, error: OSError | NetlinkError, mends: Mapping[int, str] | None = None) -> SetupError:
    """Tell a refusal of the kernel as one line.

    Args:
        doing: what was tried, to follow "cannot": ``make the device tun0``.
        error: what the kernel or pyroute2 said.
        mends: advice by errno, before the common advice.
    """
    number = int(error.code if isinstance(error, NetlinkError) else error.errno or errno.EIO)
    mend = {**COMMON_MENDS, **(mends or {})}.get(number)
    reason = os.strerror(number).lower()
    return SetupError(f"cannot {doing}: {reason}" + (f"; {mend}" if mend else ""), number)
