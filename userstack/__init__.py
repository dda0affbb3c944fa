"""userstack: a TCP stack in user space, after RFC 9293 clause by clause."""
