"""Packet I/O: every device is a scapy SuperSocket."""
