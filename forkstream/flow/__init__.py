"""One fork's flow, from receive to settlement. Start with :mod:`forkstream.flow.fork`."""
