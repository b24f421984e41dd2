"""``forkstream health``: for the health check of a container, which has no curl."""

from __future__ import annotations

from typing import Annotated

import typer

from forkstream.cli.pulse import pulse


def health(
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where the service listens, http://HOST:PORT or unix:/path. "
            "Left out: by $FORKSTREAM_ADMIN__SOCKET, or $FORKSTREAM_ADMIN__HOST and …__PORT, else http://127.0.0.1:8080.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Ask a running service whether a restart would help: exits with 0 if not, and with 1 if so or without an answer in 5 s.

    [bold]Examples[/]

    forkstream health

    forkstream health --admin http://127.0.0.1:9000
    """
    raise typer.Exit(pulse(admin))
