"""Measurements: SIPp against dracht's examples and, in the same run, against Kamailio. `python -m bench --help`."""
