"""The system calls of a script, on the sockets of the system under test."""
