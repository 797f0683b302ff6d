#!/usr/bin/env bash
# Everything that must hold before a commit: lint, format, types, fast tests, slow tests. Makes .venv if it is missing.
#   tools/test.sh                                     all of it (17 minutes on 2 cores)
#   tools/test.sh tests/test_seq.py -k padding        further arguments go to pytest
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh || exit 1
export PATH="$PWD/.venv/bin:$PATH"
# One thread per test process: two processes share the cores. Nothing in the tests may reach the network.
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false MPLBACKEND=Agg
export HF_HUB_OFFLINE=1 WANDB_MODE=offline

failed=() none_ran=0
step() {    # name, command...: runs on after a failure, so that one round shows everything that is wrong
    local name=$1 started=$SECONDS code=0
    shift
    echo "== $name"
    "$@" || code=$?
    if [[ $code == 5 && $1 == pytest ]]; then none_ran=$((none_ran + 1)); code=0; fi    # pytest: no test selected
    [[ $code == 0 ]] || failed+=("$name")
    echo "== $name: $((SECONDS - started)) s"
}

step "lint" ruff check .
step "format" ruff format --check .
step "types" mypy
step "fast tests" pytest -q -n 2 --dist worksteal -m "not slow" "$@"
step "slow tests" pytest -q -n 2 --dist worksteal -m slow --durations 15 "$@"
[[ $none_ran -lt 2 ]] || failed+=("no test was selected")

if [[ ${#failed[@]} -gt 0 ]]; then
    printf -v list '%s, ' "${failed[@]}"
    echo "FAILED after $SECONDS s: ${list%, }"
    exit 1
fi
echo "passed in $SECONDS s"
