"""``forkstream dlq``: the dead letters of a fork, wherever they were written. A command is one file here."""
