#!/usr/bin/env bash
# Installs what some tests run on that is no Python package: a real SLURM (slurm-wlm, munge) and two hosts (iproute2).
# Quiet when it is there; where it cannot be had (another system, no root, no network) the tests skip and say so.
set -uo pipefail
PATH=$PATH:/usr/sbin

missing=()
command -v sbatch >/dev/null && command -v slurmctld >/dev/null && command -v slurmd >/dev/null || missing+=(slurm-wlm)
command -v munged >/dev/null || missing+=(munge)
command -v ip >/dev/null || missing+=(iproute2)
[[ ${#missing[@]} -gt 0 ]] || exit 0

skip() { echo "ci_packages: ${missing[*]}: $*; the tests that need it will skip"; exit 0; }
command -v apt-get >/dev/null || skip "not Debian"
[[ $EUID == 0 ]] || skip "only root can install"
# No daemon is to start on this machine: the tests start their own. 101 is policy-rc.d's "forbidden".
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
{ timeout 120 apt-get -q update && timeout 300 apt-get -q install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null || skip "apt-get failed ($(grep -m1 '^E:' "$log" || tail -n 1 "$log"))"
rm -f "$log"
echo "ci_packages: installed ${missing[*]}"
