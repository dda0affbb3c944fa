"""The sans-I/O TCP of RFC 9293: values and time in, values out."""
