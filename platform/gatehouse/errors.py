"""The error catalogue: every problem a caller can be answered with, its status, stable code and public words (RFC 9457)."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

NAMES_LISTED = 20


class Refused(Exception):
    """An operator's command that cannot be done as asked; the message is one line that says what to do.

    `fact` is what an answer over HTTP says of it: the message unless given, without a command, path or digest.
    `member` is the part of what was asked that cannot be; "" where what is there now stands against it.
    """

    def __init__(self, message: str, *, fact: str | None = None, member: str = "") -> None:
        super().__init__(message)
        self.fact = message if fact is None else fact
        self.member = member


@contextmanager
def about(member: str) -> Iterator[None]:
    """Refusals within are about this member of what was asked."""
    try:
        yield
    except Refused as refusal:
        refusal.member = refusal.member or member
        raise


class NotKnown(Refused):
    """No such thing; says what there is, and what was probably meant, else what to do `first`. `where` narrows it: `granted to acme`."""

    def __init__(self, noun: str, name: str, known: Iterable[str], where: str = "", *, member: str = "", first: str = "") -> None:
        names = sorted(known)
        listed = ", ".join(names[:NAMES_LISTED]) + (f" and {len(names) - NAMES_LISTED} more" if len(names) > NAMES_LISTED else "")
        all_of_them = f"{noun}s {where}".rstrip()
        there = f"known {all_of_them}: {listed}" if names else f"there are no {all_of_them} yet"
        close = difflib.get_close_matches(name, names, n=1)
        then = f"did you mean {close[0]}?" if close else first
        message = f"no {noun} {name!r} {where}".rstrip() + f"; {there}" + (f"; {then}" if then else "")
        super().__init__(message, fact=f"there is no such {noun} {where}".rstrip(), member=member)


class ClientGone(Exception):
    """The caller closed the connection while the call had not begun to be answered; nobody is left to answer."""


class Problem(Exception):
    """A call that ends here. Subclasses are the catalogue; `detail` is public, `reason` goes to the log only.

    `members` are further public members of the problem document; `headers` are further response headers.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    cause: ClassVar[str]
    """What brings it about; `remedy` is what to do then."""
    remedy: ClassVar[str]
    passes: ClassVar[bool] = False
    """Whether the same call may be answered later: a program waits, then sends it again."""
    meaning: ClassVar[str]
    """Both, as an answer says them that has no detail of its own."""

    def __init_subclass__(cls) -> None:
        cls.meaning = f"{cls.cause} {cls.remedy}"

    def __init__(
        self,
        detail: str | None = None,
        *,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.meaning
        self.reason = reason or self.code
        self.headers = tuple(headers)
        self.members = dict(members or {})


class MalformedRequest(Problem):
    status = 400
    code = "malformed_request"
    title = "The request is not well-formed HTTP"
    cause = "The request is not well-formed HTTP/1.1, or its Host header names no server of ours."
    remedy = "Send it with an ordinary HTTP client, to the address that you were given."


class InvalidJson(Problem):
    status = 400
    code = "invalid_json"
    title = "The body is not valid JSON"
    cause = "The body is empty, broken off or not JSON."
    remedy = "Send one JSON document (RFC 8259) in UTF-8."


class IdempotencyKeyMalformed(Problem):
    status = 400
    code = "idempotency_key_malformed"
    title = "The Idempotency-Key is malformed"
    cause = "The Idempotency-Key header is empty, too long or holds other than visible ASCII, or there are two."
    remedy = "Send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID, bare or in double quotes."


class CredentialMissing(Problem):
    status = 401
    code = "credential_missing"
    title = "A credential is needed"
    cause = "The call came without an API key or access token."
    remedy = "Send yours as 'Authorization: Bearer <credential>' or 'X-API-Key: <key>'."


class CredentialMalformed(Problem):
    status = 401
    code = "credential_malformed"
    title = "The API key is not complete"
    cause = "The key's shape or checksum is wrong: a part of it is missing or mistyped."
    remedy = "Copy the whole key again, from 'gate_' to its last character."


class CredentialInvalid(Problem):
    status = 401
    code = "credential_invalid"
    title = "The credential is not valid"
    cause = "The credential is unknown, expired or revoked, not good here, or more than one was sent."
    remedy = (
        "A token ends after 15 minutes: get a new one at POST /oauth/token; a person at POST /login, for /account and /admin alone. "
        "For a new key ask whoever gave you the old one."
    )


class ScopeMissing(Problem):
    status = 403
    code = "scope_missing"
    title = "The credential lacks a scope"
    cause = "The credential is valid but may not do this."
    remedy = "Ask for a key with the scope that is named."


class BeyondOwnKey(Problem):
    """`members["member"]` names what would be wider."""

    status = 403
    code = "beyond_own_key"
    title = "A key cannot give more than it has"
    cause = "The key that you make or change would have more scopes, networks, time or limits than the key that asks for it."
    remedy = "Ask for no more than that key has."


class LoginTooOld(Problem):
    status = 403
    code = "login_too_old"
    title = "The login is too old for a change"
    cause = "A person changes something within 5 minutes of the login, and this one is older."
    remedy = "Log in again at POST /login and send the call with the new token."


class LoginNeeded(Problem):
    status = 403
    code = "login_needed"
    title = "Only a person may do this"
    cause = "A key or its token cannot do this."
    remedy = "Let a person do it, with a token got at POST /login."


class NotFound(Problem):
    status = 404
    code = "not_found"
    title = "Nothing here"
    cause = "There is nothing at this address, or your key has not been granted it."
    remedy = "Check the address: GET /v1/models lists what you may call under v1, GET /account under all API versions."


class MethodNotAllowed(Problem):
    status = 405
    code = "method_not_allowed"
    title = "The method is not allowed here"
    cause = "This address does not take the method of the request."
    remedy = "Use one that the Allow header names."


class NotAcceptable(Problem):
    status = 406
    code = "not_acceptable"
    title = "None of these formats is to be had"
    cause = "The Accept header takes none of the formats that this address answers in."
    remedy = "Ask for one of those that the detail names."


class BodyTimeout(Problem):
    status = 408
    code = "body_timeout"
    title = "The body took too long"
    cause = "The whole body did not arrive before the deadline."
    remedy = "Send it again, in smaller calls if the line is slow."
    passes = True


class HeadersTimeout(Problem):
    status = 408
    code = "headers_timeout"
    title = "The headers took too long"
    cause = "The request's headers did not arrive whole before the deadline."
    remedy = "Send them at once, as every HTTP client does."
    passes = True


class KeyConflict(Problem):
    status = 409
    code = "key_conflict"
    title = "The key is not in a state for this"
    cause = "A revoked key stays as it is, and an expired one needs a later expiry first."
    remedy = "The detail says what to do."


class Conflict(Problem):
    status = 409
    code = "conflict"
    title = "This contradicts how things stand"
    cause = "The name is taken, or what is asked is no step from the present state."
    remedy = "The detail says which; read it again, then decide."


class IdempotencyInProgress(Problem):
    status = 409
    code = "idempotency_in_progress"
    title = "The first call with this Idempotency-Key is under way"
    cause = "The first call with this Idempotency-Key has not been answered yet."
    remedy = "Wait for the seconds in Retry-After, then send the call again. It will not be metered twice."
    passes = True


class IdempotencyVersionGone(Problem):
    status = 409
    code = "idempotency_version_gone"
    title = "The model version of the first call is gone"
    cause = "A repeat is answered by the same model version, which cannot be loaded any more."
    remedy = "Send the call with a new Idempotency-Key; it is then metered."


class EndpointRetired(Problem):
    status = 410
    code = "endpoint_retired"
    title = "This endpoint has been retired"
    cause = "This API version of the model has ended and no longer answers."
    remedy = "Call its successor where GET /account names one; else ask us."


class EndpointBrownout(Problem):
    """`members` name the successor, the guide and the end of the window."""

    status = 410
    code = "endpoint_brownout"
    title = "This endpoint is off for a few minutes"
    cause = "The endpoint ends for good soon and is switched off for a trial now, so that callers who have not moved find out."
    remedy = "Call its successor, or wait for the seconds in Retry-After."
    passes = True


class PreconditionFailed(Problem):
    status = 412
    code = "precondition_failed"
    title = "It has been changed meanwhile"
    cause = "The If-Match header names another state than the present one."
    remedy = "GET it again, look at it, and send the change with its new ETag."


class BodyTooLarge(Problem):
    status = 413
    code = "body_too_large"
    title = "The body is too large"
    cause = "The body has more bytes than one call may have."
    remedy = "Split the rows over several calls. GET /account shows your plan's limit of bytes a call."


class TargetTooLong(Problem):
    status = 414
    code = "target_too_long"
    title = "The address is too long"
    cause = "No address of this service is longer than 2,048 bytes."
    remedy = "Leave out of the query what is not needed."


class UnsupportedMediaType(Problem):
    status = 415
    code = "unsupported_media_type"
    title = "The content type is not supported"
    cause = "The Content-Type is missing or another than this address takes, or the body is compressed."
    remedy = "Send 'Content-Type: application/json', in UTF-8, without Content-Encoding."


class InvalidInput(Problem):
    """`members["errors"]` lists `{pointer, code, detail, …}`; no sent value is ever part of it."""

    status = 422
    code = "invalid_input"
    title = "The body does not fit the contract"
    cause = "Something that was sent is missing, unknown or not as the contract wants it."
    remedy = "Every entry of 'errors' has a JSON pointer (RFC 6901) into the body and what the contract wants there: correct it."


class IdempotencyKeyReused(Problem):
    status = 422
    code = "idempotency_key_reused"
    title = "The Idempotency-Key came with another body before"
    cause = "A repeat must have the body of the first call, byte for byte."
    remedy = "Send another body with a new Idempotency-Key."


class RowsExceedLimit(Problem):
    status = 422
    code = "rows_exceed_limit"
    title = "More rows than your limits can ever let in at once"
    cause = "No wait would ever let so many rows in at once."
    remedy = "Split the rows over several calls. GET /account shows your plan's burst of rows."


class PreconditionRequired(Problem):
    status = 428
    code = "precondition_required"
    title = "An If-Match header is needed"
    cause = "The change does not say which state it was made for."
    remedy = "GET what you want to change, and send its ETag as If-Match: then nobody's change is overwritten unseen."


class RateLimited(Problem):
    status = 429
    code = "rate_limited"
    title = "Too many calls or rows for now"
    cause = "Your key or your organisation has used up a limit of requests or rows for now."
    remedy = "Wait for the seconds in Retry-After, then send the call again."
    passes = True


class QuotaExhausted(Problem):
    status = 429
    code = "quota_exhausted"
    title = "The monthly quota of rows is used up"
    cause = "Your organisation has no rows left in this calendar month (UTC), or fewer than the call has."
    remedy = "The quota starts anew with the next month. Ask for a larger plan if that is too late."


class TooManyFailures(Problem):
    status = 429
    code = "too_many_failures"
    title = "Too many failed credentials from this address"
    cause = "Many credentials from this address or network were wrong a short while ago."
    remedy = "Wait for the seconds in Retry-After, and check the credential that your program sends."
    passes = True


class HeadersTooLarge(Problem):
    status = 431
    code = "headers_too_large"
    title = "The headers are too large"
    cause = "The request has more header fields, or larger ones, than this service takes."
    remedy = "Send at most 100 header fields of 16 KiB in all."


class InternalError(Problem):
    status = 500
    code = "internal_error"
    title = "Something failed on our side"
    cause = "The fault is ours. The call was not answered and not metered."
    remedy = "Send it again; if it fails again, tell us the request id."
    passes = True


class PredictionFailed(Problem):
    status = 500
    code = "prediction_failed"
    title = "The model could not answer a valid row"
    cause = "The rows fit the contract, but the model raised an error or answered no finite number."
    remedy = "Tell us the request id."


class Overloaded(Problem):
    status = 503
    code = "overloaded"
    title = "Too many calls at once"
    cause = "More is under way than the server takes on at once."
    remedy = "Wait for the seconds in Retry-After, then send the call again."
    passes = True


class LimitShareTooSmall(Problem):
    status = 503
    code = "limit_share_too_small"
    title = "The call is too large for a share of the limit"
    cause = "The service shares its limits among its processes now, and no share lets so many rows in at once."
    remedy = "Send smaller calls."


class EndpointUnavailable(Problem):
    status = 503
    code = "endpoint_unavailable"
    title = "This endpoint is not being served right now"
    cause = "Its model is missing or did not pass its checks. The operators can see why."
    remedy = "Send the call again later."
    passes = True

    @classmethod
    def because(cls, reason: str) -> Self:
        """For the reason that the log tells; a release or a load takes some seconds."""
        return cls(reason=reason, headers=[("Retry-After", "5")])


class IdentityUnavailable(Problem):
    status = 503
    code = "identity_unavailable"
    title = "Credentials cannot be checked right now"
    cause = "What knows the credentials cannot be reached. Your credential was not refused."
    remedy = "Wait for the seconds in Retry-After, then send the call again."
    passes = True


class QuotaUnavailable(Problem):
    status = 503
    code = "quota_unavailable"
    title = "Your quota cannot be checked right now"
    cause = "What counts your rows cannot be reached."
    remedy = "Wait for the seconds in Retry-After, then send the call again."
    passes = True


class IdempotencyUnavailable(Problem):
    status = 503
    code = "idempotency_unavailable"
    title = "The Idempotency-Key cannot be checked right now"
    cause = "What keeps Idempotency-Keys cannot be reached. Nothing was scored and nothing was metered."
    remedy = "Wait for the seconds in Retry-After, then send the call again with the same one."
    passes = True


class UsageUnavailable(Problem):
    status = 503
    code = "usage_unavailable"
    title = "The call cannot be metered right now"
    cause = "There is no room to write the call down. Nothing was scored and nothing was metered."
    remedy = "Wait for the seconds in Retry-After, then send the call again."
    passes = True


class ServiceUnavailable(Problem):
    status = 503
    code = "service_unavailable"
    title = "A part of the service is not reachable right now"
    cause = "What answers this call cannot do so for now."
    remedy = "Wait for the seconds in Retry-After, then send the call again."
    passes = True


class PredictionTimeout(Problem):
    status = 504
    code = "prediction_timeout"
    title = "The model took too long"
    cause = "The rows were not answered before the deadline and are not metered."
    remedy = "Send it again, with fewer rows in a call."
    passes = True


CATALOGUE: dict[str, type[Problem]] = {entry.code: entry for entry in Problem.__subclasses__()}
