"""What programs see: asyncio sockets."""
