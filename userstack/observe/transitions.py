"""The log of transitions, one line each, in the columns of bcc's tcpstates, with the cause and the rule behind them."""

from userstack.address import format_address
from userstack.observe.steps import Move

_COLUMNS = "{:>11} {:<15} {:<5} {:<15} {:<5} {:<12} -> {:<12} {:>10} {}"

HEADER = _COLUMNS.format("TIME(s)", "LADDR", "LPORT", "RADDR", "RPORT", "OLDSTATE", "NEWSTATE", "MS", "CAUSE, RULE")


def format_move(move: Move) -> str:
    """One line; the milliseconds are those spent in the old state, ``-`` where its beginning was not seen."""
    remote = ("*", "*") if move.remote is None else (format_address(move.remote.address), str(move.remote.port))
    return _COLUMNS.format(
        f"{move.time / 1_000_000_000:.6f}",
        format_address(move.local.address),
        move.local.port,
        *remote,
        move.old,
        move.new,
        "-" if move.spent is None else f"{move.spent / 1_000_000:.3f}",
        f"{move.cause}, {move.clause}",
    )
