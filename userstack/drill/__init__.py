"""The packetdrill runner: scripts of packets and system calls, run against a virtual host in virtual time."""
