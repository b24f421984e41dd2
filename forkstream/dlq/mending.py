"""A letter's event with another body: what was wrong with it, put right by hand."""

from __future__ import annotations

import base64

import msgspec

from forkstream.errors import CommandError, UndecodableError
from forkstream.event import decode_json
from forkstream.letters import Letter


def mended(letter: Letter, body: bytes) -> Letter:
    """Give the letter another body; raises CommandError for one that is no JSON where the old one was.

    Whether the step takes it is for the step to say: if not, the letter stays as it is.
    """
    problem = _problem(body)
    if problem and not _problem(letter.to_event().body):
        raise CommandError(f"the mended body is not JSON: {problem}")
    try:
        text, encoded = body.decode(), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(body).decode()
    return msgspec.structs.replace(letter, body=text, body_base64=encoded)


def _problem(body: bytes) -> str:
    try:
        decode_json(body)
    except UndecodableError as error:
        return error.detail or error.code
    return ""
