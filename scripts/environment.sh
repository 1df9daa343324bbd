#!/bin/sh
# Makes .venv from uv.lock with a Python 3.11 to 3.13 found in PATH; uv itself is installed into .venv.
set -eu
unset VIRTUAL_ENV UV_PYTHON UV_PROJECT_ENVIRONMENT PYTHONHOME PYTHONPATH || true

in_range='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
bare=""

# A name in PATH proves nothing: a shim may stand for a version that is not there, so each candidate is run.
find_python() {
    for name in python3.13 python3.12 python3.11 python3 python; do
        old_ifs=$IFS
        IFS=:
        for folder in $PATH; do
            IFS=$old_ifs
            candidate=${folder:-.}/$name
            if [ -x "$candidate" ] && "$candidate" -c "$in_range" >/dev/null 2>&1; then
                if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
                    found=$candidate
                    return 0
                fi
                bare=$candidate
            fi
        done
        IFS=$old_ifs
    done
    return 1
}

if ! .venv/bin/python -c "$in_range" >/dev/null 2>&1 || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    if ! find_python; then
        if [ -n "$bare" ]; then
            echo "$bare cannot make environments: install its venv package (Debian, Ubuntu: apt-get install python3-venv), then try again." >&2
        else
            echo "Gatehouse needs Python 3.11, 3.12 or 3.13 in PATH: install one (python.org, or your system's python3.13 package), then try again." >&2
        fi
        exit 1
    fi
    "$found" -m venv --clear .venv
fi

# Runs what fetches packages; where it fails, its last words and the remedy are one line.
fetched() {
    said=$("$@" 2>&1) && return 0
    echo "The packages cannot be had ($(printf '%s' "$said" | tr -s '\n ' ' ' | tail -c 300)): see that the package index can be reached (behind a proxy set HTTPS_PROXY), then try again." >&2
    exit 1
}

started=$(date +%s)
echo "Making .venv from uv.lock (a minute or two the first time) ..."
wanted='uv>=0.13.8,<0.14'
fetched .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore "$wanted"
# compiled once here: where Python may not write its caches, each command would compile all of scikit-learn anew, for seconds
fetched .venv/bin/uv sync --compile-bytecode --quiet --frozen --all-extras --no-python-downloads --python .venv/bin/python
echo "Environment ready: $(.venv/bin/python --version), $(($(date +%s) - started)) s."
