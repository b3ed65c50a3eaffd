"""The half of airfleet that runs on a host: standard library only, sent over stdin, never installed."""
