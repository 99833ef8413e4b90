"""Who makes electronic signatures: `port.py` says what is asked of each."""
