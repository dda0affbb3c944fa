"""Devices against the real kernel, which needs root; memory and impairment need nothing."""
