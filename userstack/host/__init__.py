"""What the machine underneath must provide, made and removed with pyroute2.

Law: every function leaves the machine as it was when it fails, every removal may be called twice, and every failure is a
``SetupError`` of one line that names the mend. ``namespace`` is the name of a network namespace, None the caller's own.
"""
