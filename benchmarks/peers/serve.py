"""The peers' end of the pipe: answers JSON lines on standard input until it ends.
Who asks: lib/child.ts. What is asked of whole models: torch_peer.py.

-> {"id": 1, "call": "train", "args": {...}}
<- {"id": 1, "result": {...}} or {"id": 1, "error": "..."}
"""

import json
import os
import sys
import traceback


def serve(handlers):
    # Libraries print: only answers may reach standard output.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"id": request["id"], "result": handlers[request["call"]](**request["args"])}
        except Exception:
            reply = {"id": request["id"], "error": traceback.format_exc()}
        answers.write(json.dumps(reply) + "\n")
