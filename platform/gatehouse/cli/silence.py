"""Why something across the network does not answer, in the words of who operates it."""

import http.client
import re
import socket
import ssl

_KNOWN = (
    (
        re.compile("resolve host|translate host name|Name or service not known|name resolution|No address associated"),
        "its name leads nowhere",
    ),
    (re.compile("[Cc]onnection refused"), "connection refused"),
    (re.compile("[Tt]imed? ?out"), "no answer in time"),
)


def silence_of(error: BaseException) -> str:
    """One line: what is known of it, else what the other side or its driver says itself."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, socket.gaierror):
        return "its name leads nowhere"
    if isinstance(cause, ssl.SSLError):
        return "there is no TLS"
    if isinstance(cause, http.client.HTTPException):
        return "its answer is not HTTP"
    said = (str(cause).strip().splitlines() or ["no connection"])[0]
    return next((words for pattern, words in _KNOWN if pattern.search(said)), said)
