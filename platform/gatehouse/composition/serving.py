"""What answers: endpoints, the models behind them, and the shadows of their calls."""

from gatehouse.api.rows import CompiledContract
from gatehouse.composition.clocks import utc_now
from gatehouse.contracts.contract import Contract, ContractInvalid, parse_contract
from gatehouse.contracts.decode import Decoder
from gatehouse.contracts.upgrade import bind_upgrade, rules_from
from gatehouse.contracts.upgrade_steps import INLINE_UPGRADED_CELLS
from gatehouse.db.session import Database
from gatehouse.migration.announcing import Herald
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.release import CanaryShare
from gatehouse.migration.reminding import Reminding
from gatehouse.migration.shadow_retention_store import ShadowRetention
from gatehouse.migration.sparing import Sparing
from gatehouse.server.bridges import Bridges
from gatehouse.server.former import FormerVersions
from gatehouse.server.releases import Releases
from gatehouse.server.shadow_book import ShadowBook
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadows import Shadows
from gatehouse.server.tending import Duty, Tender
from gatehouse.serving.bridged_predictor import WayBack
from gatehouse.serving.registry import Registry
from gatehouse.serving.repository import Repository
from gatehouse.serving.trust import FollowedKeys
from gatehouse.settings import Settings

JUDGE_MOVES_EVERY_S = 0.5
"""Near a brownout: until it is known who has moved, it refuses nobody."""
REMIND_EVERY_S = 60.0
PRUNE_EVERY_S = 5.0
"""A batch each time, while there is any."""


class Serving:
    """Which versions answer whom, until when, and what another one would have answered."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Blocks: loads what is released. Raises SignatureInvalid, OSError, and what a database that is gone raises."""
        models, trusted = settings.under_state(settings.models_dir), settings.under_state(settings.trusted_keys_dir)
        repository = Repository(models, FollowedKeys(trusted))
        self.endpoints = Endpoints(settings.base_url, utc_now, has_guide=self._has_guide)
        self.registry = Registry(repository, compile_contract, memory_bytes=settings.model_memory_bytes)
        bridges = Bridges(self.registry, bind_contracts)
        share = CanaryShare(settings.secret_key.get_secret_value().encode())
        self.releases = Releases(database, self.endpoints, self.registry, bridges, share)
        self.former = FormerVersions(self.registry, bridges)
        self.shadow_book = ShadowBook(database)
        self.shadows = Shadows(self.endpoints, ShadowProcess(models, trusted), self.shadow_book)
        sparing = Sparing(database, self.endpoints, utc_now)
        reminding = Reminding(database, self.endpoints, Herald(settings.base_url, self._has_guide), utc_now)
        retention = ShadowRetention(database, utc_now)
        duties = [
            Duty(JUDGE_MOVES_EVERY_S, sparing.judge),
            Duty(REMIND_EVERY_S, reminding.remind),
            Duty(PRUNE_EVERY_S, retention.prune),
        ]
        self.endings = Tender("ends of endpoints", "brownouts spare whom they have spared before", duties)
        self.releases.start(lazy=settings.load_models == "lazy")

    def start(self) -> None:
        """Begin what runs beside the calls."""
        self.endings.start()
        self.shadows.start()

    def close(self) -> None:
        """Load and compare nothing more. Blocks."""
        self.releases.close()
        self.former.close()
        self.endings.stop()
        self.shadows.close()

    def _has_guide(self, model: str, old: str, new: str) -> bool:
        """Whether the newer contract, as it is released, has rules for rows of the older one."""
        release = self.registry.release(model, new)
        return release is not None and rules_from(release.contract.contract, old) is not None


def compile_contract(source: bytes) -> tuple[CompiledContract, Contract]:
    """What the registry keeps of a contract. Raises ContractInvalid."""
    contract = parse_contract(source, "contract.toml")
    return CompiledContract(contract, Decoder(contract)), contract


def bind_contracts(old: CompiledContract, new: CompiledContract) -> tuple[CompiledContract, WayBack]:
    """What reads rows of the older contract and makes them rows of the newer one, and leads answers back. Raises ContractInvalid."""
    upgrade = bind_upgrade(old.contract, new.contract, "contract.toml")
    if upgrade.answers is None:
        raise ContractInvalid("contract.toml", [f"is one-way for {old.contract.api_version}: no answer goes back"])
    return CompiledContract(old.contract, Decoder(old.contract, INLINE_UPGRADED_CELLS), upgrade), upgrade.answers
