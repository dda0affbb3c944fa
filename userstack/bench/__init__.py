"""The benchmark: every contender behind the same three services, one client program of the kernel's for all of them."""
