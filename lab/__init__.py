"""The lab: local parts, development stand-ins and the `livinglab` command."""
