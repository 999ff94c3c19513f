"""Has a conversation by means of the recipe in the folder that the first argument names. Runs in the recipe's environment.

The other arguments are the user, the session, and the texts of the user. The last line of its output is a JSON list of the replies. Fails if anything in the
process looks for a host other than this machine.
"""

import atexit
import importlib
import json
import os
import pathlib
import sys

FOREIGN = []
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def refuse_foreign_hosts(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and host not in LOOPBACK:
        FOREIGN.append(host)
        raise ConnectionRefusedError(f"a recipe must not contact {host}")


def report_foreign_hosts():
    if FOREIGN:
        print(f"the recipe looked for {', '.join(sorted(set(FOREIGN)))}", file=sys.stderr, flush=True)
        os._exit(1)


sys.addaudithook(refuse_foreign_hosts)
# Exporters also send when the process ends. Functions that are registered first run last.
atexit.register(report_foreign_hosts)

folder, user_id, session_id, *texts = sys.argv[1:]
sys.path[:0] = [folder, str(pathlib.Path(__file__).parent)]
say = importlib.import_module("recipe").conversation(user_id, session_id)
print("\n" + json.dumps([say(text) for text in texts]))
