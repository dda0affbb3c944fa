"""The sans-I/O host: demultiplexing, IP, ICMP, ARP, ports, listeners, the timer wheel."""
