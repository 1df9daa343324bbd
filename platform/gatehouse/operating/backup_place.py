"""Where a backup is restored: an empty place with room enough, by the settings that will hold there."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gatehouse.errors import Refused
from gatehouse.operating.backup_archive import DATABASE, Archive
from gatehouse.operating.backup_making import BELONGS_TO_THE_DISK, folders
from gatehouse.settings import Settings

DATABASE_FACTOR = 3
"""Indexes and the log of a transaction make a database so much larger than its lines."""
SPARE_BYTES = 16 * 1024 * 1024
VARIABLES = {"models": "GATEHOUSE_MODELS_DIR", "spool": "GATEHOUSE_SPOOL_DIR", "trusted-keys": "GATEHOUSE_TRUSTED_KEYS_DIR"}
"""Which of them says where a folder of an archive lies; the others lie in the state folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backup goes, by the settings that will hold there."""

    settings: Settings
    settings_text: str | None

    @property
    def state_dir(self) -> Path:
        return self.settings.state_dir

    @property
    def sqlite_file(self) -> Path | None:
        url = self.settings.database
        return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None

    def path_of(self, name: str) -> Path:
        """Where a file of the archive goes."""
        area, _, rest = name.partition("/")
        return folders(self.settings)[area] / rest if rest else self.state_dir / name


def check_inside(place: Place, given: Collection[str]) -> None:
    """Raises Refused where not the environment, whose variables are `given`, but a backup says that files go elsewhere."""
    is_server = place.settings.database.startswith("postgres")
    database = {} if is_server else {"GATEHOUSE_DATABASE_URL": place.sqlite_file or Path("/")}
    for variable, path in (_folders_by_variable(place) | database).items():
        if variable not in given and not path.resolve().is_relative_to(place.state_dir.resolve()):
            raise Refused(
                f"by the settings of the backup {variable} lies outside of {place.state_dir}: "
                f"set {variable} in the environment to where it is to lie here"
            )


def check_place(place: Place) -> None:
    """Raises Refused where something is there already: a deployment is never mixed with another one."""
    for variable, folder in _folders_by_variable(place).items():
        if folder.exists() and (not folder.is_dir() or {each.name for each in folder.iterdir()} - BELONGS_TO_THE_DISK):
            raise Refused(f"{folder} is not empty, and a backup is restored into an empty place: name another by {variable}")
    if place.sqlite_file is not None and place.sqlite_file.exists():
        raise Refused(f"{place.sqlite_file} is there already: name another by GATEHOUSE_DATABASE_URL")


def _folders_by_variable(place: Place) -> dict[str, Path]:
    named = {VARIABLES[area]: folder for area, folder in folders(place.settings).items() if area in VARIABLES}
    return {"GATEHOUSE_STATE_DIR": place.state_dir} | named


def check_room(archive: Archive, place: Place) -> None:
    """Raises Refused where a disk has less than the archive will take there."""
    needed: dict[int, tuple[Path, int]] = {}
    for folder, size in _sizes(archive, place):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        device = there.stat().st_dev
        needed[device] = (there, needed.get(device, (there, 0))[1] + size)
    for there, size in needed.values():
        disk = os.statvfs(there)
        free = disk.f_bavail * disk.f_frsize
        if free < size + SPARE_BYTES:
            raise Refused(f"{free:,} bytes are free on the disk of {there}, about {size + SPARE_BYTES:,} are needed: make room")


def _sizes(archive: Archive, place: Place) -> Iterator[tuple[Path, int]]:
    for name, member in archive.manifest.members.items():
        if not name.startswith(f"{DATABASE}/"):
            yield place.path_of(name).parent, member.bytes
        elif place.sqlite_file is not None:
            yield place.sqlite_file.parent, DATABASE_FACTOR * member.bytes
