"""Counts of ended calls. No tenant and no key: their number has no bound, and usage keeps both."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from time import perf_counter_ns

from gatehouse.call import CLIENT_GONE, Call
from gatehouse.metrics.family import Family, Labels

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BOUNDS_NS = tuple(round(bound * 1e9) for bound in BOUNDS_S)
REFUSING = (429, 503)
MOST_REASONS = 64
"""They are words of the code, a few dozen; should one ever be made of something else, no more names than this come of it."""
Outcome = tuple[int, str | None]
"""Status and error code; None where the call was answered."""


class EndpointCounts:
    """Of calls that a caller's grant has led to one endpoint; of all others together, whatever they asked for."""

    __slots__ = ("bytes_in", "bytes_out", "nanoseconds", "others", "rows", "took")

    def __init__(self) -> None:
        self.others: Counter[Outcome] = Counter()
        """Calls that got no answer, by their outcome."""
        self.took = [0] * (len(BOUNDS_NS) + 1)
        """Answered calls by their bucket."""
        self.nanoseconds = self.rows = self.bytes_in = self.bytes_out = 0

    def outcomes(self) -> dict[Outcome, int]:
        """Calls by their outcome; of the answered ones each is in one bucket."""
        answered = sum(self.took)
        return {(200, None): answered, **self.others.copy()} if answered else self.others.copy()


class CallCounts:
    """`count` belongs to the event loop, the rest to any thread."""

    def __init__(self) -> None:
        self._endpoints: dict[tuple[str | None, str | None], EndpointCounts] = {(None, None): EndpointCounts()}
        self._other: Counter[Outcome] = Counter()
        self._refusals: Counter[tuple[int, str]] = Counter()

    def count(self, call: Call) -> None:
        """A call has ended."""
        status = call.status or CLIENT_GONE
        if status in REFUSING:
            self._refusals[self._reason(status, call.reason or call.code or "")] += 1
        if call.route is None:
            self._other[status, call.code] += 1
            return
        counts = self._endpoints.get((call.model, call.api_version))
        if counts is None:
            counts = self._endpoints[call.model, call.api_version] = EndpointCounts()
        counts.bytes_in += call.bytes_in
        counts.bytes_out += call.bytes_out
        if status == 200:
            counts.rows += call.rows
            took = perf_counter_ns() - call.started_ns
            counts.nanoseconds += took
            counts.took[bisect_left(BOUNDS_NS, took)] += 1
        else:
            counts.others[status, call.code] += 1

    def totals(self) -> dict[tuple[str, str, int, str], tuple[int, int]]:
        """Calls and rows by model, API version, status and error code; '' where a call has none of it."""
        found = {("", "", status, code or ""): (calls, 0) for (status, code), calls in self._other.copy().items()}
        for (model, api_version), counts in self._endpoints.copy().items():
            for (status, code), calls in counts.outcomes().items():
                key = (model or "", api_version or "", status, code or "")
                before, _ = found.get(key, (0, 0))
                found[key] = (before + calls, counts.rows if status == 200 else 0)
        return found

    def families(self) -> Iterator[Family]:
        """Everything that was counted."""
        endpoints = {(model or "", api_version or ""): counts for (model, api_version), counts in self._endpoints.copy().items()}
        yield self._calls()
        yield Family(
            name="prediction_seconds",
            kind="histogram",
            meaning="Answered predictions, from the request's headers to the end of the answer.",
            labels=("model", "api_version"),
            buckets=BOUNDS_S,
            samples={of: (*counts.took, counts.nanoseconds / 1e9) for of, counts in endpoints.items() if any(counts.took)},
        )
        for name, meaning in (
            ("rows", "Rows that were answered."),
            ("bytes_in", "Of the bodies of calls on prediction paths."),
            ("bytes_out", "Of the answers to calls on prediction paths, refusals too."),
        ):
            yield Family(
                name=f"prediction_{name}_total",
                kind="counter",
                meaning=meaning,
                labels=("model", "api_version"),
                samples={of: (getattr(counts, name),) for of, counts in endpoints.items()},
            )
        yield Family(
            name="refusals_total",
            kind="counter",
            meaning="Calls that were refused with 429 or 503, by what refused them.",
            labels=("status", "reason"),
            samples={(str(status), reason): (calls,) for (status, reason), calls in self._refusals.copy().items()},
        )

    def _calls(self) -> Family:
        samples: dict[Labels, tuple[float, ...]] = {}
        for (model, api_version), counts in self._endpoints.copy().items():
            for (status, code), calls in counts.outcomes().items():
                samples["prediction", model or "", api_version or "", str(status), code or ""] = (calls,)
        for (status, code), calls in self._other.copy().items():
            samples["other", "", "", str(status), code or ""] = (calls,)
        return Family(
            name="calls_total",
            kind="counter",
            meaning="Calls that have ended; of a prediction that reached no endpoint of its caller's, model and api_version are empty.",
            labels=("path", "model", "api_version", "status", "code"),
            samples=samples,
        )

    def _reason(self, status: int, reason: str) -> tuple[int, str]:
        known = (status, reason) in self._refusals or len(self._refusals) < MOST_REASONS
        return (status, reason) if known else (status, "other")
