"""What a migration guide is as JSON: fixed lists of fields, in the OpenAPI document as they stand here."""

from pydantic import Field

from gatehouse.api.key_bodies import Closed
from gatehouse.api.model_bodies import Cell, FeatureBody, OutputBody
from gatehouse.migration.endpoint import EndpointState


class GuideAddresses(Closed):
    old: str
    new: str
    translate: str
    guide: str


class GuideLife(Closed):
    """Where the older endpoint stands for you."""

    state: EndpointState
    deprecated_at: str | None
    sunset: str | None
    successor: str | None
    reason: str | None
    link: str | None


class CallsSum(Closed):
    """`last_hour` is the beginning of the hour of the last call."""

    calls: int
    last_hour: str | None


class FailingField(Closed):
    """Rows of your calls that could not be upgraded."""

    field: str
    code: str
    rows: int


class GuideCalls(Closed):
    days: int
    key: CallsSum
    tenant: CallsSum
    failing: list[FailingField]


class GuideStep(Closed):
    """How one field of the newer contract is made. What the operation was told stands beside it; the rest is left out."""

    operation: str
    sources: list[str]
    target: str
    says: str
    before: dict[str, Cell]
    after: dict[str, Cell] | None
    partial: bool
    note: str | None
    old: list[FeatureBody]
    new: FeatureBody
    factor: float = 1
    offset: float = 0
    values: dict[str, Cell] = {}
    value: Cell = None
    separator: str = ""
    if_null: Cell = None
    part: int = 0
    parts: int = 0


class DroppedField(Closed):
    operation: str
    sources: list[str]
    says: str
    note: str | None
    old: FeatureBody


class GuideGap(Closed):
    """Values of older fields that no rule can move."""

    sources: list[str]
    target: str
    code: str
    values: str
    detail: str


class UnitsBody(Closed):
    old: str | None
    new: str | None


class LabelBack(Closed):
    new: str
    old: str


class AnswerBack(Closed):
    """How an answer of the newer contract becomes one of the older; names are null for an only output."""

    old: str | None
    new: str | None
    task: str
    decimals: int
    note: str | None
    factor: float = 1
    offset: float = 0
    unit: UnitsBody = UnitsBody(old=None, new=None)
    labels: list[LabelBack] = []
    merged: list[str] = []
    never: list[str] = []


class GuideOutputs(Closed):
    old: OutputBody
    new: OutputBody


class GuideRows(Closed):
    instances: list[dict[str, Cell]]


class GuideExamples(Closed):
    """The same rows for each contract."""

    old: GuideRows
    new: GuideRows


class GuideCode(Closed):
    """Programs that run as they stand, with a key in the environment."""

    curl: str
    python: str
    javascript: str


class GuideBody(Closed):
    """`life` is null where nothing is served yet, `calls` without usage:read, `examples` and `code` where no row can be moved."""

    model: str
    older: str = Field(alias="from")
    to: str
    addresses: GuideAddresses
    life: GuideLife | None
    calls: GuideCalls | None
    fields_: list[GuideStep] = Field(alias="fields")
    dropped: list[DroppedField]
    gaps: list[GuideGap]
    codes: dict[str, str]
    answers: list[AnswerBack] | None
    output: GuideOutputs
    examples: GuideExamples | None
    code: GuideCode | None
