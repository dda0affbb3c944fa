"""The sans-I/O host: demultiplexing, IP, ICMP, ARP, neighbor discovery, ports, listeners, the timer wheel."""
