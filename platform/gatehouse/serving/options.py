"""What a publisher says besides the estimator, its contract and its version."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """Every default is what most publishers want."""

    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Feature to the lowest and highest number of the publisher's sample: where open bounds are tried, never written anywhere."""
    code: bytes | None = None
    """A Python source with the functions and classes of `__main__` that the pickle refers to."""
    allow_code: bool = False
    """Whether a version that needs `code` may be served by scikit-learn, which runs that code in the server."""
    sklearn_version: str | None = None
    """The scikit-learn that saved the file, where it is another than the one installed here."""
    accept_embedded_data: bool = False
    training_rows: int | None = None
    """How many rows the estimator was fitted on, where it does not tell itself."""
