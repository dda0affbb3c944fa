"""Everything that only watches."""
