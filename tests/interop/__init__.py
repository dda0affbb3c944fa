"""Against the real kernel, in a namespace that each test makes and removes. Here alone time is real."""
