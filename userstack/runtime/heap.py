"""What the C library does with memory that is freed, where texts of 64 KiB come and go a hundred thousand times a second.

glibc gives the end of its heap back to the system as soon as 128 KiB of it are free, and takes it anew page by page: that costs
ten times what copying a text does. It stops doing so for good once it has seen a larger block come and go (mallopt(3),
M_MMAP_THRESHOLD: "dynamic"): then up to twice the size of that block stay with the process.
"""

_BLOCK = 16 << 20
"""Octets: what a few thousand connections have in flight."""


def keep_what_is_freed() -> None:
    """Show the C library a large block, which nobody touches, so that none of its pages is ever taken."""
    bytes(_BLOCK)
