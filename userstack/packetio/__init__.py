"""Packet I/O: every device is a scapy ``SuperSocket``, non-blocking, and carries whole IP packets (level 3) or frames (level 2)."""
