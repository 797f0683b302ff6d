#!/usr/bin/env bash
# Installs k2, which is optional: from its own pages the wheel that was built for this very torch, CUDA and Python.
#   tools/k2.sh                                 into .venv (tools/setup.sh makes it)
#   PYTHON=/path/to/python tools/k2.sh          into another environment
#   PAGE=/path/to/page.html tools/k2.sh         from another list of wheels (a mirror)
# Nothing but k2 is installed: its wheels ask for any torch, and pip might take another one. Done at once where it works.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { echo "k2: $*" >&2; exit 2; }

python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null ||
    die "there is no $python: run tools/setup.sh, or name a Python with PYTHON=/path/to/python."
facts=$("$python" -c '
import platform, sys, torch
cuda, rocm = torch.version.cuda, torch.version.hip
build = f"cuda{cuda}" if cuda else f"rocm{rocm}" if rocm else "cpu"
system = {"Linux": "linux", "Darwin": "macosx"}.get(platform.system(), "win")
print(torch.__version__.split("+")[0], build, "cp%d%d" % sys.version_info[:2], system, platform.machine())
') || die "$python has no torch that can be loaded (its message is above): run tools/setup.sh first."
read -r torch build tag system machine <<<"$facts"
load='import k2, importlib.metadata as m; print(m.version("k2"))'

if version=$("$python" -c "$load" 2>/dev/null); then
    echo "k2: $version works with torch $torch"
    exit 0
fi
[[ $build != rocm* ]] || die "this torch was built for ROCm: take k2's wheel by hand from https://k2-fsa.github.io/k2/installation."
page=${PAGE:-https://k2-fsa.github.io/k2/$([[ $build == cpu ]] && echo cpu || echo cuda).html}

# pip alone would take the newest of all builds: "+cpu.torch2.9.0" and "+cuda12.8.torch2.11.0" are versions like others to it.
wheel=$("$python" - "$page" "$torch" "$build" "$tag" "$system" "$machine" <<'PYTHON'
import re, sys
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

page, torch, build, tag, system, machine = sys.argv[1:]
try:
    with urlopen(page if "://" in page else Path(page).absolute().as_uri(), timeout=60) as answer:
        text = unquote(answer.read().decode())
except OSError as error:
    sys.exit(f"k2: {page} cannot be read ({error}): it needs the network, or PAGE=/path/to/a/copy")
named = re.findall(r"k2-(\d[\w.]*)\+(cpu|cuda[\d.]+)\.torch([\d.]+)-(cp\d+)-\w+-([\w.]+)\.whl", text)
here = [n[:4] for n in named if system in n[4] and machine in n[4]]
found = [version for version, *built in here if built == [build, torch, tag]]


def numbers(version):
    return [int(n) for n in re.findall(r"\d+", version)]


if not found:
    near = sorted({f"{b} and {p}" for _, b, t, p in here if t == torch})
    others = sorted({t for _, b, t, p in here if (b, p) == (build, tag)}, key=numbers)
    sys.exit(
        f"k2: {page} has no wheel for torch {torch}, {build}, {tag}, {system} {machine}; for this torch it has "
        f"{'; '.join(near) or 'none'}, for {build} and {tag} it has torch {', '.join(others[-5:]) or 'of no version'}: work "
        "without k2 (docs/k2.md says what takes its place), or build it "
        "(https://k2-fsa.github.io/k2/installation/from_source.html)"
    )
print(f"{max(found, key=numbers)}+{build}.torch{torch}")
PYTHON
) || exit 2

echo "k2: installing $wheel from $page, for torch $torch, $build, $tag"
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-index --find-links "$page" "k2==$wheel" ||
    die "pip could not install $wheel (its message is above)."
version=$("$python" -c "$load") || die "$wheel is installed and cannot be loaded (its message is above)."
echo "k2: $version works with torch $torch; try it with: $python -m pytest -m k2"
