"""Whether a serving process has loaded an endpoint: the step of `gatehouse why` that looks at what processes say of themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gatehouse.migration.endpoint import Endpoint
from gatehouse.operating.why_step import Step


@dataclass(frozen=True, slots=True)
class ServingNow:
    """A process that was seen within the last seconds, as its row says. `behind_s`: 0 unless it is further behind than changes take."""

    id: str
    host: str
    draining: bool = False
    no_room: str | None = None
    not_served: Mapping[str, str] = field(default_factory=dict)
    behind_s: float = 0.0


def has_loaded(endpoint: Endpoint, serving: Sequence[ServingNow]) -> bool:
    """Whether a process that serves holds what is released."""
    return any(endpoint.name not in each.not_served for each in serving if not each.draining)


def load_step(endpoint: Endpoint | None, serving: Sequence[ServingNow]) -> Step:
    """Whether all processes serve the endpoint, or serve at all where none is named."""
    taking = [each for each in serving if not each.draining]
    if not taking:
        ending = "the one process is ending" if len(serving) == 1 else f"all {len(serving)} processes are ending"
        said = ending if serving else "no process serves"
        return Step("load", False, f"{said}: nobody answers", "gatehouse serve (as a service: systemctl start gatehouse)")
    wrong = [fault for each in taking for fault in _faults(each, endpoint.name if endpoint else "")]
    if wrong:
        detail, remedy = wrong[0]
        return Step("load", False, detail + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""), remedy)
    processes = "1 process serves" if len(taking) == 1 else f"{len(taking)} processes serve"
    return Step("load", True, f"{processes}{f' {endpoint.name}' if endpoint else ''}")


def _faults(process: ServingNow, endpoint: str) -> Iterator[tuple[str, str]]:
    name = f"process {process.id} on {process.host}"
    if endpoint in process.not_served:
        model, _, version = endpoint.partition("/")
        remedy = f"gatehouse doctor on that machine, then: gatehouse endpoints show {model} {version}"
        yield f"{name} has not loaded {endpoint} as released ({process.not_served[endpoint]})", remedy
    if process.no_room:
        yield f"{name} cannot meter calls ({process.no_room}): calls get 503", "gatehouse doctor on that machine"
    if process.behind_s:
        yield f"{name} is {process.behind_s:.0f} s behind what was changed", "read its log: it does not reach the database"
