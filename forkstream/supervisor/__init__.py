"""Several worker processes as one service. Start with :mod:`forkstream.supervisor.supervisor`."""
