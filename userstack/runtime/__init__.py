"""asyncio: the driver that pumps packets and arms one timer for the whole stack."""
