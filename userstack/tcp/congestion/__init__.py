"""Congestion control: a protocol and an explicit table of algorithms."""
