"""Exit codes for signals: 128 and the signal's number, as shells have it."""

INTERRUPTED = 130
"""SIGINT, Ctrl-C."""
TERMINATED = 143
"""SIGTERM."""
