"""Why something does not answer is said in words, never by the name of a class."""

import http.client
import socket
import ssl

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from gatehouse.cli.silence import silence_of


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its name leads nowhere"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (TimeoutError("timed out"), "no answer in time"),
        (ssl.SSLError(1, "wrong version number"), "there is no TLS"),
        (http.client.BadStatusLine("SSH-2.0"), "its answer is not HTTP"),
        (
            OperationalError("SELECT 1", {}, psycopg.OperationalError('FATAL: role "x" does not exist\nmore')),
            'FATAL: role "x" does not exist',
        ),
        (
            psycopg.OperationalError("failed to resolve host 'db': [Errno -3] Temporary failure in name resolution"),
            "its name leads nowhere",
        ),
        (OperationalError("SELECT 1", {}, psycopg.OperationalError("")), "no connection"),
    ],
)
def test_what_is_known_of_it_is_said_in_words_and_else_the_first_line_of_the_other_side(error: BaseException, said: str) -> None:
    assert silence_of(error) == said
