# Sourced by egs/*/run.sh: options, environment, stages. The caller sets `name`, `stages` (how many) and its defaults,
# then calls `begin "$@"` and guards each stage with `if stage N "what it does"; then ...; done_stage; fi`.
# Options: --stage N  --stop-stage M  --exp DIR  and whatever `option` (defined by the caller) accepts;
# key=value arguments are kept in the array `overrides`. Stages run at the root of the checkout, where the caller has
# gone just before sourcing this; relative paths that were typed count from the folder in which they were typed (`place`).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
typed_in=$OLDPWD
case $0 in /*) script=$0 ;; *) script=$typed_in/$0 ;; esac

die() { echo "error: $*" >&2; exit 2; }

# place PATH: the path that was typed, from the root of the checkout where it lies in it
place() {
  local path=$1
  case $path in /*) echo "$path"; return ;; esac
  path=$typed_in/${path#./}
  echo "${path#"$root"/}"
}

begin() {
  first=0 last=$stages overrides=()
  while [ $# -gt 0 ]; do
    case $1 in
      --stage|--stop-stage)
        [[ ${2:-} =~ ^[0-9]+$ ]] && [ "$2" -le "$stages" ] || die "$1 takes a stage from 0 to $stages, found '${2:-nothing}'"
        if [ "$1" = --stage ]; then first=$2; else last=$2; fi
        shift 2 ;;
      --exp) [ -n "${2:-}" ] || die "--exp takes a folder"; exp=$(place "$2"); shift 2 ;;
      --help|-h) sed -n '2,/^$/s/^# \{0,1\}//p' "$script"; exit 0 ;;
      -*) option "$@" || die "unknown option $1; see $0 --help"; shift "$shifted" ;;
      *=*) # a value that is a file or folder where it was typed is a path
        if [ -n "${1#*=}" ] && [ -e "$typed_in/${1#*=}" ]; then overrides+=("${1%%=*}=$(place "${1#*=}")")
        else overrides+=("$1"); fi
        shift ;;
      *) die "'$1' is neither an option nor key=value; see $0 --help" ;;
    esac
  done
  [ "$first" -le "$last" ] || die "nothing to do: --stage $first comes after --stop-stage $last"
  local tasks=${WORLD_SIZE:-${SLURM_STEP_NUM_TASKS:-1}}
  [ "$tasks" -eq 1 ] || [ "$first" = "$last" ] ||
    die "$tasks processes would run every stage at once: start $0 once, with LAUNCH=srun for its trainings, or give one training by --stage and --stop-stage"
  trap 'exit 138' USR1    # a scheduler signals this shell too; bash acts when the recipe has saved and ended
  trap 'exit 143' TERM
  trap end_others EXIT
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

# beside NAME COMMAND ...: start it, with half of the cores, and go on; its lines begin with the name. `together` waits for what
# was started so and ends as the first that failed. A script that ends before ends them too: trainings save first. With $LAUNCH,
# whose processes take the machines whole, it is done at once.
others=()
beside() {
  local name=$1 cores
  [ -z "${LAUNCH:-}" ] || { "${@:2}"; return; }
  cores=$(getconf _NPROCESSORS_ONLN)
  {
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(((cores + 1) / 2))}
    "${@:2}"
    exit # so that this is always a shell, and the command its child
  } > >(named "$name") 2> >(named "$name" >&2) &
  others+=($!)
}
together() {
  local pid code=0
  for pid in "${others[@]}"; do wait "$pid" || code=$((code ? code : $?)); done
  others=()
  return $code
}
named() {
  local line
  trap '' TERM INT # reads to the end what those that are ended say
  while IFS= read -r line; do echo "$1: $line"; done
}
end_others() {
  local pid
  for pid in "${others[@]}"; do pkill -TERM -P "$pid" || true; done
  wait
}

# A training is started by $LAUNCH (tools/slurm, or any command that starts one process for each GPU), all else once.
recipe() {
  if [ "$1" = train ]; then ${LAUNCH:-} python -m "recipes.$1" "${@:2}"; else python -m "recipes.$1" "${@:2}"; fi
}
