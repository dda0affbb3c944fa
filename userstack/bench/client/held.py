"""Many idle connections, held while the harness looks at the contender's memory."""

import sys

from userstack.bench.client.bulk import Measured
from userstack.bench.client.roundtrip import exchange
from userstack.bench.client.sockets import ECHO, allow_many_files, connect


def hold(address: str, *, connections: int) -> Measured:
    """Establish them, say so, wait to be told to go on; end when the contender has seen the end of them."""
    allow_many_files()
    with connect(address, ECHO) as sock:
        exchange(sock)  # the contender has taken all in that came before it
    pause("held")
    socks = [connect(address, ECHO) for _ in range(connections)]
    exchange(socks[-1])
    pause("held")
    for sock in socks:
        sock.close()
    with connect(address, ECHO) as sock:
        exchange(sock)
    return {"connections": connections}


def pause(word: str) -> None:
    """Tell the harness that something is so, and leave it so until it says to go on."""
    print(word, flush=True)
    sys.stdin.readline()
