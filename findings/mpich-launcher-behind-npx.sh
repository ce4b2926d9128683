#!/bin/bash
# mpich 5.0.2 (PyPI; Debian's 4.0.2 is the same) with Node 20.20.2 (npx is one more Node program):
# the launcher gives each process a socket, whose number is in PMI_FD. Node marks what it inherited
# to be closed when it starts another program, so a Node program that a Node program starts has the
# variable, and under that number something else.
#
#   started by mpirun: socket
#   started by a Node program: no socket
#   started by a shell: socket
#
# Ends with 0 while it is so. MPI_Init in the second process would talk to what has the number, so
# fused-lora looks first: docs/distributed.md, npx.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install --quiet mpich==5.0.2
cat > "$dir/look.cjs" <<'J'
const fs = require('node:fs');
let isSocket = false;
try {
  isSocket = fs.fstatSync(Number(process.env.PMI_FD)).isSocket();
} catch {}
console.log(`started by ${process.argv[2]}: ${isSocket ? 'socket' : 'no socket'}`);
J
cat > "$dir/start.cjs" <<'J'
const { spawnSync } = require('node:child_process');
spawnSync(process.execPath, [`${__dirname}/look.cjs`, 'a Node program'], { stdio: 'inherit' });
J
run() { "$dir/venv/bin/mpirun" -n 1 "$@"; }
seen=$(
  run node "$dir/look.cjs" mpirun
  run node "$dir/start.cjs"
  run sh -c "node '$dir/look.cjs' 'a shell'; true"
)
echo "$seen"
expected='started by mpirun: socket
started by a Node program: no socket
started by a shell: socket'
[ "$seen" = "$expected" ]
