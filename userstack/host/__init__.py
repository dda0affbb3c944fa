"""What the machine underneath must provide, made and removed with pyroute2."""
