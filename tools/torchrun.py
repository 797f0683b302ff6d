"""torchrun whose exit code is that of the processes it started, and whose failures to meet are a sentence.

    python tools/torchrun.py --nnodes=4 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=HOST:29500 -m recipes.train ...

All of its arguments are torchrun's own. torchrun itself ends with 1 whatever happened, so a scheduler cannot tell a run
that saved and wants to go on (138, 143; see train.callbacks.stop) from a broken one; it dies of SIGUSR1, which SLURM
sends to every process of a job, before the processes that train have saved; and where another program has the port of
the rendezvous it waits for ever.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from datetime import timedelta

from torch.distributed import DistNetworkError, TCPStore
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.run import get_args_parser, run

PATIENCE = 50  # seconds in which the machine that keeps the rendezvous must answer


def end(code: int) -> None:
    """At once: threads of the rendezvous may still wait for a machine that is gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def refuse(place: str, why: str) -> None:
    """Say that ``place`` (HOST:PORT) keeps no rendezvous, and end."""
    print(
        f"error: {place}: no rendezvous for {socket.gethostname()} there ({why}); start the machine of that name first, "
        "and if another program listens on the port choose a free one for all machines (--rdzv-endpoint=HOST:PORT)",
        file=sys.stderr,
    )
    end(2)


def watch(place: str) -> None:
    """Refuse ``place`` if nobody there speaks as a rendezvous does; one that cannot be reached is for torchrun to say."""
    host, _, port = place.rpartition(":")
    asks = {"is_master": False, "wait_for_workers": False, "timeout": timedelta(seconds=PATIENCE)}
    ask = threading.Thread(target=lambda: TCPStore(host, int(port), **asks), daemon=True)
    ask.start()
    ask.join(PATIENCE)
    if ask.is_alive():
        refuse(place, f"no answer in {PATIENCE} s")


def main() -> int:
    """The exit code: 128 + n for signal n, of several the largest."""
    args = get_args_parser().parse_args()
    place = args.rdzv_endpoint or f"{args.master_addr}:{args.master_port}"
    if not args.standalone:
        threading.excepthook = lambda _: None
        threading.Thread(target=watch, args=(place,), daemon=True).start()
    # Shared, the address of the first round's rank 0 is kept for all rounds: when that machine comes back as another
    # process, those that stayed wait for the one that is gone.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    signal.signal(signal.SIGUSR1, lambda *_: None)  # no SIG_IGN, which the processes would inherit
    try:
        run(args)
    except ChildFailedError as error:
        print(f"error: {str(error).strip()}", file=sys.stderr)
        return max(code if code >= 0 else 128 - code for code in (f.exitcode for f in error.failures.values()))
    except SignalException as error:
        return 128 + int(error.sigval)
    except (RendezvousError, DistNetworkError) as error:
        refuse(place, " ".join(str(error.__cause__ or error).split())[:200])
    return 0


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except Exception:
        traceback.print_exc()
    end(code)
