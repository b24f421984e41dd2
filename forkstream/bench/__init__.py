"""Measures the service, or any other consumer, against a stub of AWS on this machine. Start with :mod:`forkstream.bench.bench`."""
