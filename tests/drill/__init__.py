"""Tests of the packetdrill runner."""
