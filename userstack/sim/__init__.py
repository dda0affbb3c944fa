"""Virtual time: whole hosts without device, event loop or clock."""
