"""What a command says where it cannot go on: one line on stderr that says what to do."""

import errno
import re
from typing import Any

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError

_CREDENTIAL = re.compile(r"gate(?:test)?_[0-9A-Za-z]{16}_[0-9A-Za-z]+|eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_.-]+|once_[0-9A-Za-z]{16,}")
NO_ROOM = "make room on that disk, then run the command again"
_NOT_THIS_USER = "run the command as the user whose it is"
_REMEDIES = {
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: NO_ROOM,
    errno.EFBIG: NO_ROOM,
    errno.EACCES: _NOT_THIS_USER,
    errno.EPERM: _NOT_THIS_USER,
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file in it",
    errno.EROFS: "name a place that can be written",
}


class Misused(UsageError):
    """A command line that is none, and the help of the command that was meant."""

    def __init__(self, error: UsageError) -> None:
        super().__init__(_closest_first(error), error.ctx)

    def show(self, file: Any = None) -> None:
        said = without_credentials(" ".join(self.message.split())).removeprefix("Invalid value: ")
        said = re.sub(r" \(Possible options: (.+)\)$", r". Did you mean \1?", said)
        said = said.replace("Value error, ", "").replace("Input should be", "must be").removesuffix(".")
        path = self.ctx.command_path if self.ctx else "gatehouse"
        typer.echo(f"gatehouse: {said}{'' if said.endswith('?') else '.'} See: {path} --help", file=file, err=True)


def _closest_first(error: UsageError) -> str:
    """click finds the closest options first, and then says them by the alphabet."""
    said, found = error.format_message(), list(getattr(error, "possibilities", None) or ())
    return said.replace(", ".join(sorted(found)), ", ".join(found)) if found else said


def misused(error: UsageError) -> UsageError:
    """The same, said in one line; where a noun was given alone, its help stays."""
    return error if isinstance(error, NoArgsIsHelpError | Misused) else Misused(error)


def cause_of(error: OSError) -> str:
    """What the system says, and what to do about it."""
    said, remedy = error.strerror or type(error).__name__, _REMEDIES.get(error.errno or 0)
    return f"{said}; {remedy}" if remedy else said


def database_cause(error: BaseException | None) -> str:
    """What a database's driver says, in one line, and what to do about it."""
    said = str(error).strip().splitlines()[0] if error else "no connection"
    if re.search(r"disk is full|disk I/O error|No space left|disk full", said):
        return f"{said}; {NO_ROOM}"
    return f"{said}; {_NOT_THIS_USER}" if "readonly database" in said else said


def without_credentials(text: str) -> str:
    """What is said of an argument does not repeat a key or a token: what a screen shows, cron mails and logs keep."""
    return _CREDENTIAL.sub("[credential]", text)
