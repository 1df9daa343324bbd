"""What a change is made with."""

from dataclasses import dataclass

from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The settings with the published versions, the database that a change goes into, and who asks for it."""

    settings: Settings
    database: Database
    actor: Actor
    pause: Pause = no_pause
    """Called between the steps of a long proof; what it raises ends the proof."""
