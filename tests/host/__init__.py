"""What the machine underneath provides, against the real kernel. Needs root."""
