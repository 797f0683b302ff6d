#!/usr/bin/env bash
# Makes .venv from pyproject.toml with the tested versions of tools/constraints.txt. Quiet when there is nothing to do.
#   tools/setup.sh                      finds Python 3.11 or newer by itself
#   PYTHON=/path/to/python tools/setup.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras="demo,trackers,lattice,judge,mos,dev"
stamp=.venv/.complete       # written last, so an interrupted install is never taken for a whole one
marker=.venv/.installing    # present while pip works

die() { echo "setup: $*" >&2; exit 1; }

# What .venv was made from, where it stands (scripts inside hold absolute paths), and which torch it really has.
state() {
    sha256sum pyproject.toml tools/constraints.txt
    pwd
    ls -d .venv/lib/python3*/site-packages/{torch,torchaudio}-*.dist-info 2>/dev/null || true
}
up_to_date() { [[ -f $stamp && ! -e $marker && "$(state)" == "$(<"$stamp")" ]]; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3 python; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
        [[ -z ${PYTHON:-} ]] || die "PYTHON=$PYTHON is not Python 3.11 or newer with venv and pip: name one that is."
    done
    die "no Python 3.11 or newer with venv and pip was found: install one, or name it with PYTHON=/path/to/python."
}

up_to_date && exit 0

# One installer at a time; appending nothing to a tracked file gives a lock that also works over NFS.
if command -v flock >/dev/null; then
    exec 9>>tools/constraints.txt
    flock -n 9 || { echo "setup: waiting for another setup in this folder"; flock 9; }
    up_to_date && exit 0
fi

started=$SECONDS
fresh=yes
if [[ -e $marker ]]; then
    echo "setup: the last install into .venv was interrupted: starting afresh"
elif [[ -f $stamp && "$(sed -n 3p "$stamp")" != "$PWD" ]]; then
    # Through a link, starting afresh would empty the environment of the other folder.
    [[ ! -L .venv ]] || die ".venv is a link to the environment of $(sed -n 3p "$stamp"): remove the link and run tools/setup.sh again."
    echo "setup: .venv was made in another folder: starting afresh"
elif [[ -e .venv ]]; then
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        die ".venv is not a working environment of Python 3.11 or newer: move it away and run tools/setup.sh again."
    echo "setup: bringing .venv up to date"
    fresh=no
fi
if [[ $fresh == yes ]]; then
    python=$(find_python)
    echo "setup: making .venv with $("$python" --version) (about 6 GB; a minute or more)"
    mkdir -p .venv
    touch "$marker"
    find .venv/ -mindepth 1 ! -path "$marker" -delete
    "$python" -m venv .venv || die "$python -m venv failed (its message is above)."
fi
touch "$marker"
rm -f "$stamp"

# Without byte-compiling everything: Python does that on first import, for the tenth that is ever imported.
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
    -c tools/constraints.txt -e ".[$extras]"; then
    [[ $fresh == yes ]] || rm -f "$marker"    # what was there before still stands: no need to start afresh
    free=$(df -Pk . | awk 'NR == 2 { printf "%.1f", $4 / 1048576 }')
    die "pip could not install speechunits (its message is above): it needs the package registry and about 12 GB of" \
        "disk ($free GB are free here); run tools/setup.sh again once that is mended."
fi

# WORLD is compiled; without it F0 is found in torch, and the tests that compare both skip.
if command -v cc >/dev/null; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c tools/constraints.txt -e ".[prosody]" ||
        echo "setup: pyworld could not be compiled, so F0 is found in torch alone"
fi

if ! message=$(.venv/bin/python -c 'import torch, torchaudio' 2>&1); then
    version() { .venv/bin/python -c "import importlib.metadata as m; print(m.version('$1'))"; }
    audio=$(version torchaudio)
    rm -f "$marker"
    echo "$message" | tail -n 3 >&2
    die "torchaudio $audio cannot be loaded with torch $(version torch): it needs the registry's own torch" \
        "${audio%%+*}, the CUDA build, also on a machine without a GPU; mend it with:" \
        ".venv/bin/python -m pip install -c tools/constraints.txt torch===$audio && tools/setup.sh"
fi

state >"$stamp.new"
rm -f "$marker"
mv "$stamp.new" "$stamp"
echo "setup: .venv is ready after $((SECONDS - started)) s"
