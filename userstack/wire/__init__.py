"""Bytes to values and back: headers, options, checksums. Nothing here knows what a connection is."""
