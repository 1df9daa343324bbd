"""`gatehouse secrets`: makes what is missing, leads a new secret in beside the one before, and never says one that is set."""

import functools
import os
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatehouse.identity.sealing import Seal
from gatehouse.settings import GivenSettings, check_strength, settings_from

NAMES = ["GATEHOUSE_SECRET_KEY", "GATEHOUSE_KEY_PEPPER", "GATEHOUSE_AUDIT_KEY"]
BEFORE = {
    "GATEHOUSE_SECRET_KEY": "GATEHOUSE_SECRET_KEY_BEFORE",
    "GATEHOUSE_KEY_PEPPER": "GATEHOUSE_OTHER_KEY_PEPPERS",
    "GATEHOUSE_AUDIT_KEY": "GATEHOUSE_OTHER_AUDIT_KEYS",
}
SET = {
    "GATEHOUSE_SECRET_KEY": "vN3xK8rT5wQ1zB6yH9cJ2mD7sF4gL0pA",
    "GATEHOUSE_KEY_PEPPER": "mQ7tR4wZ8nB3cF6hJ1sL5dG0yAkP9vX2",
    "GATEHOUSE_AUDIT_KEY": "Hb4Rn7Xw2Ks9Vt1Zc6Ym3Qd8Lf5Gp0Je",
}


@pytest.fixture
def unset(gatehouse: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A deployment without a secret."""
    for name in NAMES:
        monkeypatch.delenv(name)
    state_dir.chmod(0o700)
    return gatehouse


@pytest.fixture
def in_file(unset: Any, state_dir: Path) -> Any:
    """A deployment with its secrets in the settings file; whatever is answered says none of them."""
    file = state_dir / "settings.env"
    file.write_text("# ours\n" + "".join(f"{name}={value}\n" for name, value in SET.items()) + "GATEHOUSE_PUBLIC_URL=https://a.example\n")
    file.chmod(0o600)

    def run(*arguments: str, code: int = 0) -> Any:
        held = [part for value in values_of(file).values() for part in re.split("[:,]", value) if len(part) >= 32]
        answer = unset(*arguments, code=code)
        assert not [value for value in held if value in answer.out + answer.error]
        return answer

    return run


def values_of(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if line and not line.startswith("#"))


def settings_of(state_dir: Path) -> GivenSettings:
    return settings_from(values_of(state_dir / "settings.env"), state_dir)  # type: ignore[return-value]


def findings(answer: Any, state: str) -> list[tuple[str, str, str]]:
    return [(each["part"], each["detail"], each["remedy"]) for each in answer.json["findings"] if each["state"] == state]


# ------------------------------------------------------------------------- create


def test_what_is_missing_is_made_and_a_server_takes_it(unset: Any, state_dir: Path) -> None:
    made = dict(line.split("=", 1) for line in unset("secrets", "create").lines)
    assert list(made) == NAMES
    settings_from(made, state_dir)
    assert len(set(made.values())) == 3
    again = {each["name"]: each["value"] for each in unset("secrets", "create", "--json").json["created"]}
    assert not set(made.values()) & set(again.values())
    assert not (state_dir / "settings.env").exists(), "nothing is written unless asked"


def test_it_is_written_for_the_owner_alone_and_what_is_there_stays(unset: Any, state_dir: Path) -> None:
    file = state_dir / "settings.env"
    pepper = SET["GATEHOUSE_KEY_PEPPER"]
    file.write_text(f"# ours\nGATEHOUSE_KEY_PEPPER={pepper}\nGATEHOUSE_AUDIT_KEY=\nGATEHOUSE_DOCS=off")
    file.chmod(0o644)
    answer = unset("secrets", "create", "--write")
    assert file.stat().st_mode & 0o777 == 0o600
    values = values_of(file)
    assert (values["GATEHOUSE_KEY_PEPPER"], values["GATEHOUSE_DOCS"]) == (pepper, "off")
    assert file.read_text().startswith("# ours\n")
    assert answer.lines == [f"made and written to {file}, for its owner alone: GATEHOUSE_SECRET_KEY, GATEHOUSE_AUDIT_KEY"]
    settings_of(state_dir)
    before = file.read_bytes()
    assert unset("secrets", "create", "--write", "--json").json == {"created": [], "file": None}
    assert file.read_bytes() == before


def test_one_alone_is_made_and_one_that_is_set_is_refused(in_file: Any, unset: Any, state_dir: Path) -> None:
    for name in NAMES:
        refused = in_file("secrets", "create", "--only", name, code=1)
        assert f"{name} is set already; one that takes over from it: gatehouse secrets create --only {name} --next" in refused.error
    (state_dir / "settings.env").unlink()
    (line,) = unset("secrets", "create", "--only", "GATEHOUSE_AUDIT_KEY").lines
    assert line.startswith("GATEHOUSE_AUDIT_KEY=")


def test_the_values_of_the_example_file_give_way(unset: Any, state_dir: Path) -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    (state_dir / "settings.env").write_text(example)
    unset("secrets", "create", "--write")
    for name in NAMES:
        check_strength(values_of(state_dir / "settings.env")[name])
    settings_of(state_dir)


def test_a_secret_of_the_environment_counts_as_set(gatehouse: Any, state_dir: Path) -> None:
    assert gatehouse("secrets", "create", "--json").json["created"] == []
    refused = gatehouse("secrets", "create", "--only", "GATEHOUSE_KEY_PEPPER", "--next", "--write", code=1)
    assert "GATEHOUSE_KEY_PEPPER is set in the environment, which wins over" in refused.error
    assert refused.error.rstrip().endswith("gatehouse secrets create --only GATEHOUSE_KEY_PEPPER --next says what to set there")
    assert not (state_dir / "settings.env").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "GATEHOUSE_PEPPER"], "no secret 'GATEHOUSE_PEPPER'; known secrets: GATEHOUSE_AUDIT_KEY"),
        (["--next"], "--next needs --only and one of GATEHOUSE_SECRET_KEY"),
    ],
)
def test_what_is_no_secret_is_refused_in_one_line(in_file: Any, arguments: list[str], said: str) -> None:
    refused = in_file("secrets", "create", *arguments, code=1)
    assert said in refused.error
    assert refused.error.count("\n") == 1


def test_a_file_that_is_no_settings_file_is_left_alone(unset: Any, state_dir: Path) -> None:
    file = state_dir / "settings.env"
    file.write_text("PASSWORD=x\n")
    assert "'PASSWORD' is not a line of the form" in unset("secrets", "create", "--write", code=1).error
    file.write_text('GATEHOUSE_PUBLIC_URL="https://a.example\nGATEHOUSE_KEY_PEPPER=x"\n')
    assert "has lines that only a person can change" in unset("secrets", "create", "--write", code=1).error
    assert file.read_text().endswith('GATEHOUSE_KEY_PEPPER=x"\n')
    assert not list(state_dir.glob("*.unfinished"))


def test_root_leaves_the_file_to_the_user_who_serves(unset: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = state_dir / "settings.env"
    file.write_text("GATEHOUSE_DOCS=off\n")
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _file, user, group: given.append((user, group)))
    unset("secrets", "create", "--write")
    assert given == [(file.stat().st_uid, file.stat().st_gid)]


# ------------------------------------------------------- the next one, step by step


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_new_version_is_accepted_then_current_then_alone(in_file: Any, state_dir: Path, name: str) -> None:
    file, other = state_dir / "settings.env", BEFORE[name]
    assert "holds no newer version" in in_file("secrets", "promote", name, code=1).error
    assert "holds no older version" in in_file("secrets", "remove", name, code=1).error

    assert in_file("secrets", "create", "--only", name, "--next", "--write", "--json").json["version"] == 2
    fresh = values_of(file)[other].removeprefix("2:")
    check_strength(fresh)
    assert values_of(file)[name] == SET[name]
    refused = in_file("secrets", "create", "--only", name, "--next", "--write", code=1)
    assert f"{other} holds version 2 already: restart the servers one by one, then: gatehouse secrets promote {name}" in refused.error

    in_file("secrets", "promote", name)
    assert {key: values_of(file)[key] for key in (name, f"{name}_VERSION", other)} == {
        name: fresh,
        f"{name}_VERSION": "2",
        other: f"1:{SET[name]}",
    }
    in_file("secrets", "create", "--only", name, "--next", "--write")
    assert re.fullmatch(rf"1:{SET[name]},3:\S{{43}}", values_of(file)[other])
    in_file("secrets", "promote", name)
    assert list(getattr(settings_of(state_dir), "key_peppers" if "PEPPER" in name else "audit_keys")) == [3, 1, 2]


def test_secret_key_has_no_versions_and_is_current_at_once(in_file: Any, state_dir: Path) -> None:
    name = "GATEHOUSE_SECRET_KEY"
    assert "is not set: there is nothing to remove" in in_file("secrets", "remove", name, code=1).error
    assert "has no versions" in in_file("secrets", "promote", name, code=1).error
    in_file("secrets", "create", "--only", name, "--next", "--write")
    values = values_of(state_dir / "settings.env")
    assert (values[BEFORE[name]], values[name] != SET[name]) == (SET[name], True)
    assert "a new one is on its way" in in_file("secrets", "create", "--only", name, "--next", "--write", code=1).error
    in_file("secrets", "remove", name)
    assert values_of(state_dir / "settings.env")[BEFORE[name]] == ""


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_to_be_set_elsewhere_leads_the_same_way_and_names_what_is_set(in_file: Any, state_dir: Path, name: str) -> None:
    before = (state_dir / "settings.env").read_bytes()
    answer = in_file("secrets", "create", "--only", name, "--next", "--json").json
    assert (state_dir / "settings.env").read_bytes() == before
    values = dict(SET)
    for step in answer["steps"]:
        named = {f"(what {key} is now)": value for key, value in values.items()}
        for key, text in step["set"].items():
            values[key] = functools.reduce(lambda said, each: said.replace(*each), named.items(), text)
        settings = settings_from(values, state_dir)
    assert len(answer["steps"]) == (1 if name == "GATEHOUSE_SECRET_KEY" else 2)
    assert SET[name] in (
        settings.secret_keys[1].decode(),
        *(old.decode() for old in (*settings.key_peppers.values(), *settings.audit_keys.values())),
    )
    assert values[name] != SET[name]


def test_a_step_that_no_server_would_start_by_changes_nothing(in_file: Any, state_dir: Path) -> None:
    file = state_dir / "settings.env"
    text = file.read_text().replace(SET["GATEHOUSE_KEY_PEPPER"], "mQ7tR4wZ8nB3cF6hJ1sL5dG0yA,kP9vX2")
    file.write_text(text + "GATEHOUSE_OTHER_KEY_PEPPERS=2:Ux3Wb8Ym1Zc6Qd9Rf2Tg5Vh7Kj4Ln0Ps\n")
    refused = in_file("secrets", "promote", "GATEHOUSE_KEY_PEPPER", code=1)
    assert "nothing was changed: GATEHOUSE_OTHER_KEY_PEPPERS must be VERSION:SECRET" in refused.error
    assert file.read_text().startswith(text)


def test_each_step_is_audited_without_a_secret(in_file: Any, state_dir: Path) -> None:
    for step in (["create", "--next", "--write", "--only"], ["promote"], ["remove"]):
        in_file("secrets", *step, "GATEHOUSE_KEY_PEPPER")
    with sqlite3.connect(state_dir / "gatehouse.db") as database:
        rows = database.execute("SELECT action, subject, detail FROM audit ORDER BY id").fetchall()
    database.close()
    versions = {"secret.create": 2, "secret.promote": 2, "secret.remove": 1}
    assert [row[:2] for row in rows] == [(action, "GATEHOUSE_KEY_PEPPER") for action in versions]
    assert [f'"version":{version}' in row[2] for row, version in zip(rows, versions.values(), strict=True)] == [True] * 3


def test_a_step_is_dated_by_the_clock_that_servers_say_their_start_by(
    in_file: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatehouse.cli.secrets.database_now", lambda _session: datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
    in_file("secrets", "create", "--next", "--write", "--only", "GATEHOUSE_KEY_PEPPER")
    with sqlite3.connect(state_dir / "gatehouse.db") as database:
        assert database.execute("SELECT at FROM audit").fetchone()[0].startswith("2031-05-06 07:08:09")
    database.close()


def running_since(state_dir: Path, seconds_ago: float) -> None:
    """One server, which started so long ago."""
    moments = [(datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%d %H:%M:%S.%f") for ago in (seconds_ago, 0)]
    with sqlite3.connect(state_dir / "gatehouse.db") as database:
        database.execute("DELETE FROM process")
        values = ("prc_1", "web1", 4711, *moments, 0)
        database.execute("INSERT INTO process (id, host, pid, started_at, last_seen_at, revision_seen) VALUES (?, ?, ?, ?, ?, ?)", values)
    database.close()


@pytest.mark.parametrize("name", NAMES)
def test_no_step_is_taken_before_all_servers_know_the_one_before(in_file: Any, state_dir: Path, name: str) -> None:
    in_file("tenants", "create", "acme")
    in_file("secrets", "create", "--only", name, "--next", "--write")
    steps = [["token-keys", "rotate"], ["token-keys", "reseal"]] if name == NAMES[0] else [["secrets", "promote", name]]
    if name != "GATEHOUSE_AUDIT_KEY":
        steps.append(["secrets", "remove", name])
    for step in steps:
        before = (state_dir / "settings.env").read_bytes()
        running_since(state_dir, 60)
        refused = in_file(*step, code=1)
        assert "1 server must be restarted first, or calls are refused there: process 4711 on web1;" in refused.error
        assert (state_dir / "settings.env").read_bytes() == before
        running_since(state_dir, -1)
        in_file(*step)


# --------------------------------------------------------------- check, and remove


def test_strong_secrets_kept_from_others_are_well(in_file: Any) -> None:
    answer = in_file("secrets", "check", "--json").json
    assert answer["healthy"] is True
    assert {each["state"] for each in answer["findings"]} == {"ok"}
    assert {*NAMES, "settings.env", "state folder", "database"} <= {each["part"] for each in answer["findings"]}


@pytest.mark.parametrize(
    ("value", "said", "remedy"),
    [
        ("", "it is not set", "gatehouse secrets create --only {name} --write"),
        ("change-me-to-32-or-more-random-characters-A", "it is an example", "gatehouse secrets create --only {name} --write"),
        ("short", "it is too weak", "openssl rand -base64 32"),
        ("ab" * 40, "it is too weak", "openssl rand -base64 32"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_row_92_each_weak_missing_or_example_secret_is_found(
    in_file: Any, state_dir: Path, name: str, value: str, said: str, remedy: str
) -> None:
    file = state_dir / "settings.env"
    file.write_text(file.read_text().replace(SET[name], value))
    (found,) = findings(in_file("secrets", "check", "--json", code=1), "problem")
    assert found[0] == name
    assert said in found[1]
    assert found[2].endswith(remedy.format(name=name))


POOR = {
    "change-me-to-32-or-more-random-characters-A": "is an example, not a secret",
    "Secret-kP9vX2mQ7tR4wZ8nB3cF6hJ1sL5dG0yA": "is an example, not a secret",
    "kP9vX2mQ7tR4wZ8nB3cF6hJ1sL5dG0y": "is too weak: it needs 32 random characters or more",
    "ab" * 40: "is too weak: it needs 32 random characters or more",
}


def refusal_to_serve(in_file: Any, state_dir: Path, **values: str) -> str:
    """The one line of a server that does not start on these secrets."""
    (state_dir / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in (SET | values).items()))
    said: str = in_file("serve", "--port", "1", code=1).error
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("name", NAMES)
def test_row_92_no_server_starts_on_a_weak_missing_or_example_secret(in_file: Any, state_dir: Path, name: str) -> None:
    for value, said in {"": "is not set", **POOR}.items():
        assert f"{name} {said}" in refusal_to_serve(in_file, state_dir, **{name: value})
    for other in {*NAMES} - {name}:
        assert "must differ" in refusal_to_serve(in_file, state_dir, **{name: SET[other]})


@pytest.mark.parametrize("name", NAMES[1:])
def test_row_92_nor_where_an_accepted_version_is_one(in_file: Any, state_dir: Path, name: str) -> None:
    for value, said in POOR.items():
        assert f"{BEFORE[name]} {said}" in refusal_to_serve(in_file, state_dir, **{BEFORE[name]: f"2:{value}"})
    for other in NAMES:
        assert "holds a secret twice" in refusal_to_serve(in_file, state_dir, **{BEFORE[name]: f"2:{SET[other]}"})
    assert "which is GATEHOUSE" in refusal_to_serve(in_file, state_dir, **{BEFORE[name]: f"1:{SET[name][::-1]}"})


def test_several_are_found_at_once_one_line_each(unset: Any) -> None:
    lines = [line for line in unset("secrets", "check", code=1).lines if "problem" in line]
    assert [line.split()[0] for line in lines] == NAMES


def test_what_stops_the_start_beside_them_is_found(in_file: Any, state_dir: Path) -> None:
    file = state_dir / "settings.env"
    text = file.read_text()
    file.write_text(text + f"GATEHOUSE_OTHER_KEY_PEPPERS=2:{SET['GATEHOUSE_AUDIT_KEY']}\n")
    ((part, detail, _),) = findings(in_file("secrets", "check", "--json", code=1), "problem")
    assert (part, detail.startswith("GATEHOUSE_OTHER_KEY_PEPPERS holds a secret twice")) == ("settings", True)
    file.write_text(text + f"GATEHOUSE_OTHER_AUDIT_KEYS=2:{'x' * 40}\n")
    ((part, detail, _),) = findings(in_file("secrets", "check", "--json", code=1), "problem")
    assert (part, "too weak" in detail) == ("settings", True)


def test_files_that_others_can_read_are_found(in_file: Any, state_dir: Path) -> None:
    state_dir.chmod(0o755)
    (state_dir / "settings.env").chmod(0o644)
    (state_dir / "gatehouse.db").chmod(0o640)
    found = {part: remedy for part, _, remedy in findings(in_file("secrets", "check", "--json", code=1), "problem")}
    assert found == {
        "state folder": f"chmod 700 {state_dir}",
        "settings.env": f"chmod 600 {state_dir / 'settings.env'}",
        "gatehouse.db": f"chmod 600 {state_dir / 'gatehouse.db'}",
    }


def test_a_secret_that_is_set_in_two_places_is_found(in_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_AUDIT_KEY", SET["GATEHOUSE_AUDIT_KEY"][::-1])
    ((part, detail, _),) = [each for each in findings(in_file("secrets", "check", "--json"), "warning") if each[0] in NAMES]
    assert (part, "the environment wins" in detail) == ("GATEHOUSE_AUDIT_KEY", True)
    refused = in_file("secrets", "create", "--only", "GATEHOUSE_AUDIT_KEY", "--next", "--write", code=1)
    assert "GATEHOUSE_AUDIT_KEY is set in the environment" in refused.error


def change(state_dir: Path, edit: Callable[[str], str]) -> None:
    file = state_dir / "settings.env"
    file.write_text(edit(file.read_text()))


def test_a_pepper_that_keys_need_is_missed_kept_and_let_go(in_file: Any, unset: Any, state_dir: Path) -> None:
    name = "GATEHOUSE_KEY_PEPPER"
    unset("tenants", "create", "acme")
    made = unset("keys", "create", "--tenant", "acme", "--json").json
    for step in (["create", "--next", "--write", "--only"], ["promote"]):
        in_file("secrets", *step, name)
    (found,) = findings(in_file("secrets", "check", "--json"), "warning")
    assert found[:2] == ("GATEHOUSE_OTHER_KEY_PEPPERS", "version 1 is needed by 1 key")
    assert "is needed: version 1 by 1 key" in in_file("secrets", "remove", name, code=1).error

    kept = values_of(state_dir / "settings.env")["GATEHOUSE_OTHER_KEY_PEPPERS"]
    change(state_dir, lambda text: text.replace(kept, ""))
    for command in ("secrets check", "doctor"):
        (found,) = [each for each in findings(in_file(*command.split(), "--json", code=1), "problem") if each[0] == name]
        assert found[1:] == (
            "version 1 is not set, and 1 key stand under it: these are refused",
            "set GATEHOUSE_OTHER_KEY_PEPPERS=1:… again",
        )
    change(state_dir, lambda text: text.replace("GATEHOUSE_OTHER_KEY_PEPPERS=", f"GATEHOUSE_OTHER_KEY_PEPPERS={kept}"))

    rotated = unset("keys", "rotate", made["id"], "--json").json
    assert rotated["id"] == made["id"]
    assert "version 1 by 1 key" in in_file("secrets", "remove", name, code=1).error, "its grace runs"
    unset("keys", "rotate", made["id"], "--grace", "0")
    (found,) = findings(in_file("secrets", "check", "--json"), "warning")
    assert found[1:] == ("nothing needs version 1 any more", f"gatehouse secrets remove {name}")
    assert in_file("secrets", "remove", name, "--json").json["removed"] == [1]
    assert findings(in_file("secrets", "check", "--json"), "warning") == []


def test_a_pepper_that_a_one_time_code_needs_is_kept(in_file: Any, unset: Any, state_dir: Path) -> None:
    for step in (["create", "--next", "--write", "--only"], ["promote"]):
        in_file("secrets", *step, "GATEHOUSE_KEY_PEPPER")
    unset("tenants", "create", "acme")
    soon, now = ((datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S.000000") for hours in (1, 0))
    with sqlite3.connect(state_dir / "gatehouse.db") as database:
        tenant = database.execute("SELECT id FROM tenant WHERE name = 'acme'").fetchone()[0]
        columns = "id, name, role, tenant_id, code_digest, code_pepper_version, code_expires_at, created_at"
        database.execute(
            f"INSERT INTO person ({columns}) VALUES ('per_x', 'ann@acme', 'tenant_admin', ?, x'00', 1, ?, ?)", (tenant, soon, now)
        )
    database.close()
    assert "version 1 by 1 one-time code" in in_file("secrets", "remove", "GATEHOUSE_KEY_PEPPER", code=1).error


def test_an_audit_key_stays_as_long_as_rows_stand_under_it(in_file: Any, unset: Any, state_dir: Path) -> None:
    name = "GATEHOUSE_AUDIT_KEY"
    unset("tenants", "create", "acme")
    for step in (["create", "--next", "--write", "--only"], ["promote"]):
        in_file("secrets", *step, name)
    assert findings(in_file("secrets", "check", "--json"), "warning") == [], "rows stay, so that nothing is left to do"
    assert re.search(r"is needed: version 1 by \d+ rows of the audit trail", in_file("secrets", "remove", name, code=1).error)
    change(state_dir, lambda text: re.sub("GATEHOUSE_OTHER_AUDIT_KEYS=.*", "", text))
    ((part, detail, _),) = findings(in_file("secrets", "check", "--json", code=1), "problem")
    assert (part, "of the audit trail stand under it: these cannot be verified" in detail) == (name, True)


def test_what_is_sealed_under_the_secret_before_is_named(in_file: Any, state_dir: Path) -> None:
    name = "GATEHOUSE_SECRET_KEY"
    sealed = Seal(SET[name].encode()).close("abc", "private")
    with sqlite3.connect(state_dir / "gatehouse.db") as database:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.000000")
        database.execute("INSERT INTO token_key (kid, public_pem, private_sealed, created_at) VALUES ('abc', '', ?, ?)", (sealed, now))
    database.close()
    in_file("secrets", "create", "--only", name, "--next", "--write")
    (found,) = findings(in_file("secrets", "check", "--json"), "warning")
    assert found[:2] == ("GATEHOUSE_SECRET_KEY_BEFORE", "only this one opens token key abc")
    assert "is needed by token key abc: gatehouse token-keys reseal" in in_file("secrets", "remove", name, code=1).error
    in_file("token-keys", "reseal")
    (found,) = findings(in_file("secrets", "check", "--json"), "warning")
    assert found[1] == "nothing is sealed under it any more"
    in_file("secrets", "remove", name)
    change(state_dir, lambda text: re.sub(f"{name}=.*", f"{name}={SET[name][::-1]}", text))
    (found,) = findings(in_file("secrets", "check", "--json", code=1), "problem")
    assert found[:2] == (name, "it does not open token key abc")


def test_a_database_that_is_gone_is_found(in_file: Any, state_dir: Path) -> None:
    change(state_dir, lambda text: text + "GATEHOUSE_DATABASE_URL=postgresql://a:b@127.0.0.1:1/x\n")
    ((part, _, _),) = findings(in_file("secrets", "check", "--json", code=1), "problem")
    assert part == "database"
