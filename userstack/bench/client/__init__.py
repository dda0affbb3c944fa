"""The client: plain sockets of the kernel's, the same program for every contender.

    python -m userstack.bench.client MEASURE ADDRESS [KEY=VALUE...]

It prints what it measured as one JSON object on the last line of its standard output. A measure during which the harness is to look
at the contender prints ``held`` first, and goes on when its standard input says so.
"""
