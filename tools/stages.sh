# Sourced by egs/*/run.sh: options, environment, stages. The caller sets `name`, `stages` (how many) and its defaults,
# then calls `begin "$@"` and guards each stage with `if stage N "what it does"; then ...; done_stage; fi`.
# Options: --stage N  --stop-stage M  --exp DIR  and whatever `option` (defined by the caller) accepts;
# key=value arguments are kept in the array `overrides`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { echo "error: $*" >&2; exit 2; }

begin() {
  first=0 last=$stages overrides=()
  while [ $# -gt 0 ]; do
    case $1 in
      --stage|--stop-stage)
        [[ ${2:-} =~ ^[0-9]+$ ]] && [ "$2" -le "$stages" ] || die "$1 takes a stage from 0 to $stages, found '${2:-nothing}'"
        if [ "$1" = --stage ]; then first=$2; else last=$2; fi
        shift 2 ;;
      --exp) [ -n "${2:-}" ] || die "--exp takes a folder"; exp=$2; shift 2 ;;
      --help|-h) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
      -*) option "$@" || die "unknown option $1; see $0 --help"; shift "$shifted" ;;
      *=*) overrides+=("$1"); shift ;;
      *) die "'$1' is neither an option nor key=value; see $0 --help" ;;
    esac
  done
  [ "$first" -le "$last" ] || die "nothing to do: --stage $first comes after --stop-stage $last"
  "$root/tools/setup.sh"
  export PATH="$root/.venv/bin:$PATH" PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONWARNINGS=ignore
  begun=$SECONDS
}

stage() {
  [ "$1" -ge "$first" ] && [ "$1" -le "$last" ] || return 1
  now="$1: $2" since=$SECONDS
  echo "== $name, stage $now"
}

done_stage() { echo "== stage $now: $((SECONDS - since)) s"; }

recipe() { python -m "recipes.$1" "${@:2}"; }
