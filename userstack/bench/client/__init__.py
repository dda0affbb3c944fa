"""The client: plain sockets of the kernel's, the same program for every contender.

    python -m userstack.bench.client MEASURE ADDRESS [KEY=VALUE...]

Every measure takes as long as it is told to, and until it has something to tell.

It prints what it measured as one JSON object on the last line of its standard output. A measure during which the harness is to look
at the contender prints ``held`` first, and goes on when its standard input says so.
"""
