"""docs/change.md, carried out once: the small edits of each recipe, and which step of the page asks for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Edit:
    """What a step adds to a file, right behind `anchor`, which stands there once; "" begins a new file.

    `words` are those of the step that ask for it where it does not name the file, because that is for whoever makes the change to say.
    """

    step: int
    file: str
    anchor: str
    text: str
    words: str = ""

    def carry_out(self, tree: Path, numbers: Mapping[str, str]) -> str:
        """Returns the file that was changed, or made. An anchor that is not there once is a ValueError."""
        name, text = self.file, self.text
        for mark, number in numbers.items():
            name, text = name.replace(mark, number), text.replace(mark, number)
        file = tree / name
        before = file.read_text(encoding="utf-8") if self.anchor else ""
        if self.anchor and before.count(self.anchor) != 1:
            raise ValueError(f"{name} has {before.count(self.anchor)} times: {self.anchor}")
        if not self.anchor and file.exists():
            raise ValueError(f"{name} is there already")
        file.write_text(before.replace(self.anchor, self.anchor + text) if self.anchor else text, encoding="utf-8")
        return name


AN_ERROR = (
    Edit(
        1,
        "platform/gatehouse/errors.py",
        '    remedy = "Send it again, with fewer rows in a call."\n    passes = True\n',
        """

class AnswerTooLarge(Problem):
    status = 507
    code = "answer_too_large"
    title = "The answer would be too large"
    cause = "There is no room for the answer to so many rows."
    remedy = "Send the rows over several calls."
""",
    ),
    Edit(2, "platform/gatehouse/api/predict.py", "from gatehouse.errors import ", "AnswerTooLarge, ", "Raise it where it is found"),
    Edit(
        2,
        "platform/gatehouse/api/predict.py",
        '        """The answer, metered by now unless it was before."""\n',
        '        if rows.rows > 50:\n            raise AnswerTooLarge(reason="rows_beyond_room")\n',
        "Raise it where it is found",
    ),
    Edit(
        4,
        "docs/runbook.md",
        "## What callers get\n",
        """
### `answer_too_large`

- **Means**: a call has more rows than there is room to answer.
- **Callers see**: 507 before scoring.
- **First look**: the `reason` in the log.
- **Remedy**: ask the caller to send fewer rows.
""",
    ),
    Edit(
        5,
        "platform/gatehouse/usage/outcomes.py",
        '    504: Outcome("the model took too long"),\n',
        '    507: Outcome("the answer would be too large"),\n',
    ),
    Edit(
        5,
        "docs/usage.md",
        "| 504 | the model took too long | no | event |\n",
        "| 507 | the answer would be too large | no | event |\n",
    ),
)

A_LIMIT = (
    Edit(
        1,
        "platform/gatehouse/principal.py",
        'limits of requests; `rows_mode` of those of rows."""\n    rows_mode: LimitMode = "enforce"\n',
        '    requests_per_day: int = 0\n    """Of the tenant; 0: no such limit."""\n',
    ),
    Edit(2, "platform/gatehouse/db/tables.py", "    rows_per_call: int\n    bytes_per_call: int\n", "    requests_per_day: int = 0\n"),
    Edit(
        2,
        "alembic/versions/{next}_requests_per_day.py",
        "",
        '''"""A plan may limit the calls of a day."""

import sqlalchemy as sa
from alembic import op

revision = "{next}"
down_revision = "{newest}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan", sa.Column("requests_per_day", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("plan", "requests_per_day")
''',
    ),
    Edit(
        2,
        "platform/gatehouse/identity/store.py",
        "        bytes_per_call=row.bytes_per_call,\n",
        "        requests_per_day=row.requests_per_day,\n",
    ),
    Edit(
        2,
        "platform/gatehouse/identity/store.py",
        '        "bytes_per_call": plan.bytes_per_call,\n',
        '        "requests_per_day": plan.requests_per_day,\n',
    ),
    Edit(
        3,
        "platform/gatehouse/identity/plans.py",
        '    check_rate("rows", plan.rows)\n',
        """    if not 0 <= plan.requests_per_day <= LARGEST:
        fact = f"calls a day must be 0 (no such limit) to {LARGEST}"
        raise Refused(f"{fact}, not {plan.requests_per_day}", fact=fact, member="requests_per_day")
""",
    ),
    Edit(
        3,
        "platform/gatehouse/identity/plans.py",
        '        "bytes_per_call": plan.bytes_per_call,\n',
        '        "requests_per_day": plan.requests_per_day,\n',
    ),
    Edit(
        4,
        "platform/gatehouse/cli/plans.py",
        'RowsPerCall = Annotated[int | None, typer.Option("--rows-per-call", help="Rows in one call.")]\n',
        'RequestsPerDay = Annotated[int | None, typer.Option("--requests-per-day", help="Calls in a day; 0 is no such limit.")]\n',
    ),
    Edit(4, "platform/gatehouse/cli/plans.py", "def create(\n    plan: Name,\n", "    requests_per_day: RequestsPerDay = None,\n"),
    Edit(4, "platform/gatehouse/cli/plans.py", "def edit(\n    plan: Name,\n", "    requests_per_day: RequestsPerDay = None,\n"),
    Edit(
        4,
        "platform/gatehouse/cli/plans.py",
        "        limits = _with_modes(limits, requests_mode, rows_mode)\n",
        "        if requests_per_day is not None:\n            limits = replace(limits, requests_per_day=requests_per_day)\n",
    ),
    Edit(
        4,
        "platform/gatehouse/cli/plans.py",
        "        limits = _with_modes(_with_rates(before, requests, requests_burst, rows, rows_burst), requests_mode, rows_mode)\n",
        "        if requests_per_day is not None:\n            limits = replace(limits, requests_per_day=requests_per_day)\n",
    ),
    Edit(4, "platform/gatehouse/cli/plans.py", '"quota", "rows a call", "bytes a call"', ', "calls a day"'),
    Edit(4, "platform/gatehouse/cli/plans.py", "        *sizes,\n", '        f"{plan.requests_per_day:,}",\n'),
    Edit(4, "platform/gatehouse/api/admin/plans.py", "from gatehouse.api.key_bodies import Closed, Count, ", "CountOrNone, "),
    Edit(4, "platform/gatehouse/api/admin/plans.py", "    bytes_per_call: int\n", "    requests_per_day: int\n"),
    Edit(
        4,
        "platform/gatehouse/api/admin/plans.py",
        "    bytes_per_call: Count = LEFT_OUT\n",
        "    requests_per_day: CountOrNone = LEFT_OUT\n",
    ),
    Edit(
        4,
        "platform/gatehouse/api/admin/plans.py",
        "        bytes_per_call=plan.bytes_per_call,\n",
        "        requests_per_day=plan.requests_per_day,\n",
    ),
    Edit(
        4,
        "platform/gatehouse/api/account.py",
        '        "bytes_per_call": plan.bytes_per_call,\n',
        '        "requests_per_day": plan.requests_per_day,\n',
    ),
    Edit(4, "platform/gatehouse/api/account_bodies.py", "    bytes_per_call: int\n", "    requests_per_day: int\n"),
    Edit(
        5,
        "platform/gatehouse/limits/allowance.py",
        '    rows = _pair(principal, "rows", plan.rows, principal.key_rows or plan.rows)\n',
        """    if most := plan.requests_per_day:
        day = RateLimit(f"tenant:{principal.tenant_id}:day", "tenant-day", "tenant", "requests", most, 86_400_000_000, most)
        requests += (day,)
""",
    ),
    Edit(
        6,
        "docs/http.md",
        "422 `rows_exceed_limit` where one call has more than the burst |\n",
        "| `tenant-day` | calls of your organisation in a day | 429 `rate_limited` |\n",
    ),
)

A_ROUTE = (
    Edit(
        1,
        "platform/gatehouse/identity/plans.py",
        "        return named_plan(session, name)\n",
        '''

def tenants_on_plan(database: Database, name: str) -> list[str]:
    """By name. Raises NotKnown."""
    with database.read() as session:
        named_plan(session, name)
        return store.tenants_on_plan(session, name)
''',
    ),
    Edit(
        1,
        "platform/gatehouse/identity/store.py",
        "    return [tenant_of(row) for row in session.exec(select(TenantTable).order_by(col(TenantTable.name)))]\n",
        '''

def tenants_on_plan(session: Session, plan: str) -> list[str]:
    """Their names, in order."""
    return list(session.exec(select(TenantTable.name).where(TenantTable.plan == plan).order_by(col(TenantTable.name))))
''',
        "Its SQL is in the room's `store.py`",
    ),
    Edit(
        2,
        "platform/gatehouse/api/admin/plans.py",
        "    items: list[PlanEntry]\n    next: str | None\n",
        '\n\nclass PlanTenants(Closed):\n    """Names, in order."""\n\n    items: list[str]\n',
    ),
    Edit(
        2,
        "platform/gatehouse/api/admin/plans.py",
        "            return tagged(response, shown(session, plan))\n",
        """
    @get_and_head(router, "/{plan}/tenants", summary="The tenants on a plan", operation_id="admin_list_tenants_on_plan")
    @parts.limited
    def list_tenants_on_plan(request: Request, principal: AdminReader, plan: PlanPath) -> PlanTenants:
        with parts.database.read() as session:
            shown(session, plan)
        return PlanTenants(items=plans.tenants_on_plan(parts.database, plan))
""",
    ),
    Edit(
        3,
        "docs/security.md",
        "| `GET /admin/plans/{plan}` | `admin:read` | 401 | 403 | 403 | 403 | 403 | 403 | yes | yes | yes | yes |\n",
        "| `GET /admin/plans/{plan}/tenants` | `admin:read` | 401 | 403 | 403 | 403 | 403 | 403 | yes | yes | yes | yes |\n",
    ),
    Edit(
        4,
        "platform/gatehouse/cli/plans.py",
        '    _answer(found, json, "to change it", f"gatehouse plans edit {plan}")\n',
        '''

@app.command(epilog=example("gatehouse plans tenants trial"))
def tenants(plan: Name, json: Json = False) -> None:
    """List the tenants on one plan."""
    with open_deployment() as deployment:
        found = plans.tenants_on_plan(deployment.database, plan)
    if json:
        print_json(found)
        return
    print_table(("tenant",), [(name,) for name in found])
''',
    ),
    Edit(
        4,
        "docs/http.md",
        "| `plans edit` | `PATCH /admin/plans/{plan}` |\n",
        "| `plans tenants` | `GET /admin/plans/{plan}/tenants` |\n",
    ),
)

AN_ENGINE = (
    Edit(
        1,
        "platform/gatehouse/serving/engines/linear.py",
        "",
        '''"""Logistic regressions of two classes by their own coefficients: float64, no pickle, no graph."""

from typing import Any

import msgspec
import numpy as np

from gatehouse.serving.engine import Classes, EngineUnusable, Scores, Values


class Coefficients(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    weights: list[float]
    offset: float


class LinearEngine:
    """Scores in two operations."""

    name = "linear"
    own_labels = False
    inline_rows = 0

    def __init__(self, artifact: bytes, features: int, classes: Classes) -> None:
        """Raises EngineUnusable."""
        try:
            told = msgspec.json.decode(artifact, type=Coefficients)
        except msgspec.MsgspecError as error:
            raise EngineUnusable(f"the coefficients cannot be read ({error}): publish the model again") from None
        if len(told.weights) != features:
            raise EngineUnusable("the coefficients are not those of the contract: publish the model again")
        self.classes = classes
        self._weights, self._offset = np.array(told.weights), told.offset

    def score(self, values: Values) -> Scores:
        second = 1 / (1 + np.exp(-((values * self._weights).sum(axis=1) + self._offset)))
        return np.stack([1 - second, second], axis=1)


def coefficients_of(estimator: Any) -> bytes | None:
    """The artifact; None of what this engine cannot serve."""
    if type(estimator).__name__ != "LogisticRegression" or len(estimator.classes_) != 2:
        return None
    return msgspec.json.encode(Coefficients(estimator.coef_[0].tolist(), float(estimator.intercept_[0])))
''',
    ),
    Edit(2, "platform/gatehouse/serving/manifest.py", 'EngineName = Literal["onnx", ', '"linear", '),
    Edit(2, "platform/gatehouse/serving/manifest.py", 'ARTIFACT_FILES = {"onnx": "model.onnx", ', '"linear": "model.json", '),
    Edit(
        3,
        "platform/gatehouse/serving/registry.py",
        "from gatehouse.serving.engine import Engine, EngineUnusable\n",
        "from gatehouse.serving.engines.linear import LinearEngine\n",
    ),
    Edit(3, "platform/gatehouse/serving/registry.py", 'MEMORY_FACTOR = {"onnx": 8, ', '"linear": 2, '),
    Edit(
        3,
        "platform/gatehouse/serving/registry.py",
        "        return OnnxEngine(verified.artifact, len(longest), manifest.classes, texts=texts, longest=longest)\n",
        """    if manifest.engine == "linear":
        return LinearEngine(verified.artifact, len(features), manifest.classes)
""",
    ),
    Edit(
        4,
        "platform/gatehouse/serving/engine_choice.py",
        "from gatehouse.serving.engine import EngineUnusable, Scores\n",
        "from gatehouse.serving.engines.linear import LinearEngine, coefficients_of\n",
    ),
    Edit(
        4,
        "platform/gatehouse/serving/engine_choice.py",
        '        return EngineChoice("sklearn", artifact, reason, None)\n',
        """    if (coefficients := coefficients_of(reference.engine._last)) is not None:
        plain = LinearEngine(coefficients, len(contract.features), reference.engine.classes)
        result = _compared(contract, rows, reference, parity.score_both_ways(plain, to_values(contract.features, rows)), hidden)
        if result.passed:
            return EngineChoice("linear", coefficients, None, result)
""",
    ),
    Edit(
        4,
        "platform/gatehouse/serving/publish.py",
        'engine = reference.engine if choice.engine == "onnx"',
        ' or choice.engine == "linear"',
    ),
    Edit(
        5,
        "docs/estimators.md",
        "threads; that is slower and nothing else.",
        " A `LogisticRegression` of two classes is served by `linear`, from its own coefficients.",
    ),
)

A_TABLE = (
    Edit(
        1,
        "platform/gatehouse/db/tables.py",
        'ALL_VERSIONS = "*"\n"""Stands in a grant for every API version."""\n',
        '''

class PlanNoteTable(SQLModel, table=True):
    """What an operator has noted of a plan."""

    __tablename__ = "plan_note"
    plan: str = Field(primary_key=True, foreign_key="plan.name", max_length=63)
    text: str = Field(max_length=200)
    bytes_read: int = Field(sa_column=_big())
    noted_at: datetime = Field(sa_column=_moment())
''',
    ),
    Edit(
        2,
        "alembic/versions/{next}_plan_note.py",
        "",
        '''"""What operators have noted of plans."""

import sqlalchemy as sa
from alembic import op

revision = "{next}"
down_revision = "{newest}"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "plan_note",
        sa.Column("plan", sa.String(length=63), nullable=False),
        sa.Column("text", sa.String(length=200), nullable=False),
        sa.Column("bytes_read", BIG, nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["plan"], ["plan.name"], name=op.f("fk_plan_note_plan")),
        sa.PrimaryKeyConstraint("plan", name=op.f("pk_plan_note")),
    )


def downgrade() -> None:
    op.drop_table("plan_note")
''',
    ),
    Edit(
        3,
        "platform/gatehouse/identity/note_store.py",
        "",
        '''"""What the identity room writes of notes on plans."""

from datetime import UTC, datetime

from sqlalchemy import insert
from sqlmodel import Session

from gatehouse.db.tables import PlanNoteTable


def add_note(session: Session, plan: str, text: str) -> None:
    session.execute(insert(PlanNoteTable).values(plan=plan, text=text, bytes_read=2**40, noted_at=datetime.now(UTC)))
''',
        "a file called `store.py` or `…_store.py` of the room",
    ),
    Edit(
        4,
        "platform/gatehouse/identity/notes.py",
        "",
        '''"""Notes on plans."""

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.identity import note_store
from gatehouse.identity.plans import named_plan


def note_plan(database: Database, actor: Actor, plan: str, text: str) -> None:
    """Raises NotKnown."""
    with database.write() as session:
        hold_revision(session)
        named_plan(session, plan)
        note_store.add_note(session, plan, text)
        record_change(session, "plan", plan)
        record_audit(session, actor, "plan.note", plan, {"text": text})
''',
        "Whoever changes a row",
    ),
    Edit(5, "tests/support/kept_state.py", 'NOUNS = (\n    "plan",\n', '    "plan_note",\n'),
)

RECIPES: Mapping[str, tuple[Edit, ...]] = {
    "An error": AN_ERROR,
    "A limit": A_LIMIT,
    "A route": A_ROUTE,
    "An engine": AN_ENGINE,
    "A table": A_TABLE,
}
"""In the order of the page, in which they are carried out one after the other."""
MARKS = {
    "An error": "`answer_too_large`",
    "A limit": "--requests-per-day",
    "A route": "`GET /admin/plans/{plan}/tenants`",
    "An engine": "linear",
    "A table": "plan_note",
}
"""What tells in docs/reference that this recipe was followed."""
NOT_TOUCHED = {
    "An error": {"platform/gatehouse/middleware/problems.py"},
    "A limit": {"platform/gatehouse/api/predict.py", "platform/gatehouse/composition/entrance.py"},
    "A route": {
        "platform/gatehouse/operating/",
        "platform/gatehouse/api/admin/changing.py",
        "platform/gatehouse/api/admin/routers.py",
        "tests/security",
        "tests/support/sample_calls.py",
    },
    "An engine": {"platform/gatehouse/serving/engine.py", "scripts/bench/memory.py"},
    "A table": {"platform/gatehouse/db/revision.py", "platform/gatehouse/db/audit.py"},
}
"""What a recipe names to be read, or for another kind of change: a limit of one call, a route that changes something or of a new noun."""


def carry_out(title: str, tree: Path) -> dict[int, set[str]]:
    """The files that a recipe touches in `tree`, by step. Raises ValueError where one cannot be followed there."""
    newest = max(file.name[:4] for file in (tree / "alembic" / "versions").glob("[0-9]*.py"))
    numbers = {"{newest}": newest, "{next}": f"{int(newest) + 1:04}"}
    touched: dict[int, set[str]] = {}
    for edit in RECIPES[title]:
        touched.setdefault(edit.step, set()).add(edit.carry_out(tree, numbers))
    return touched
