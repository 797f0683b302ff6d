# Sourced by the batch scripts of this folder, which set `launch`: the command that starts a line once for each GPU.

# run LINE...: a run.sh runs once, here, and starts its trainings (alone) by $LAUNCH; anything else is started by `launch`.
# SIGUSR1 goes on to all of it. Where it ends with 138 (stopped by SIGUSR1 and saved: ahead of the time limit, or asked for
# by `scancel --batch --signal=USR1`) the job goes back into the queue and is taken up there where it stopped; everything
# else is the job's end, with that exit code. Here, not in Python: scontrol is seldom there inside a container.
run() {
  local code=0 command again
  cd "$SLURM_SUBMIT_DIR" || return 2
  export LAUNCH="$launch" OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}    # srun does not take it from sbatch by itself
  set -m    # a process group of its own, so that a signal reaches run.sh and what it waits for
  case ${1:-} in
    '') echo "error: $SLURM_JOB_NAME: nothing to run; give a line after the batch script" >&2; return 2 ;;
    *.sh) "$@" & ;;
    *) $launch "$@" & ;;
  esac
  command=$!
  set +m
  trap "again=yes; kill -USR1 -- -$command 2>/dev/null" USR1
  trap 'again=yes' TERM    # SLURM sends it to everybody; srun takes a second one for an order to kill
  again=yes
  while [ -n "$again" ]; do    # a signal ends `wait`, not the command
    again='' code=0
    wait "$command" || code=$?
  done
  trap '' USR1 TERM
  if [ "$code" -eq 138 ]; then
    echo "job $SLURM_JOB_ID, part $((${SLURM_RESTART_COUNT:-0} + 1)): stopped and saved; it goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID" ||
      echo "error: job $SLURM_JOB_ID was not requeued; nothing is lost: submit the same line again" >&2
  fi
  return "$code"
}
