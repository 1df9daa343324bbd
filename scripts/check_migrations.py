"""`make migrations`: on a fresh database the migrations make exactly the tables of the code (`alembic check`)."""

import os
import secrets
import subprocess
import sys
import tempfile


def main() -> int:
    with tempfile.TemporaryDirectory() as state:
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
        environment = foreign | {
            "GATEHOUSE_STATE_DIR": state,
            "GATEHOUSE_SECRET_KEY": secrets.token_urlsafe(32),
            "GATEHOUSE_KEY_PEPPER": secrets.token_urlsafe(32),
            "GATEHOUSE_AUDIT_KEY": secrets.token_urlsafe(32),
        }
        alembic = [sys.executable, "-m", "alembic"]
        for command in (["upgrade", "head"], ["check"]):
            done = subprocess.run([*alembic, *command], env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                print(done.stdout, done.stderr, sep="", file=sys.stderr)
                return done.returncode
    print("alembic check: the migrations and the tables agree.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
