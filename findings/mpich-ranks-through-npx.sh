#!/bin/bash
# MPICH 5.0.1 (PyPI) and npx (npm 11.19.1, Node 20.20.2): MPICH's launcher gives each process an open
# descriptor, PMI_FD, over which MPI_Init asks who its neighbours are. Node opens its children with
# standard input, output and error alone, so whatever is started through npx, or by another Node
# program, has the environment of a rank (PMI_RANK, PMI_SIZE) and no connection: MPI_Init ends the
# process. The same program by itself, or through sh, is a rank. Open MPI's launcher, whose
# processes find it by environment alone, is not affected.
#
#   by itself: 2 ranks of 2
#   through sh: 2 ranks of 2
#   through npx: 0 ranks of 2, 2 have PMI_SIZE, Bad file descriptor
#
# Ends with 0 while it is so. `distributed: 'mpi'` says so before MPI is called, and names what to
# start in place of npx (src/distributed).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q mpich==5.0.1 mpi4py==4.1.2
export PATH="$dir/venv/bin:$PATH" npm_config_update_notifier=false
cat > "$dir/rank.py" <<'P'
import os
print("env", os.environ.get("PMI_SIZE"), flush=True)
from mpi4py import MPI
print("size", MPI.COMM_WORLD.Get_size(), flush=True)
P
cd "$dir"
ranks() { grep -c '^size 2' <<< "$1" || true; }
own=$(mpiexec -n 2 python rank.py)
shell=$(mpiexec -n 2 sh -c 'python rank.py; true')
npx=$(mpiexec -n 2 npx -c 'python rank.py' 2>&1 || true)
seen="by itself: $(ranks "$own") ranks of 2
through sh: $(ranks "$shell") ranks of 2
through npx: $(ranks "$npx") ranks of 2, $(grep -c '^env 2' <<< "$npx" || true) have PMI_SIZE, $(grep -o 'Bad file descriptor' <<< "$npx" | head -1)"
echo "$seen"
[ "$seen" = "by itself: 2 ranks of 2
through sh: 2 ranks of 2
through npx: 0 ranks of 2, 2 have PMI_SIZE, Bad file descriptor" ]
