"""``python -m forkstream``."""

from forkstream.cli import main

main()
