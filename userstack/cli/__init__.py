"""The userstack command."""
