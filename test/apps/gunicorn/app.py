"""A WSGI service for gunicorn's sync workers."""

import os
import signal
import sys
import threading
import time
from urllib.parse import parse_qs

VERSION = "@VERSION@"
VARIANT = "@VARIANT@"
PATTERN = b"0123456789abcdef"
SLOW = PATTERN * 4096
SLICES = 20

if VARIANT == "exits-at-once":
    sys.exit(3)
if VARIANT == "never-ready":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # gunicorn's own handler only sets a flag that nobody would read here
    open(os.path.join(os.path.dirname(__file__), f"asleep.{os.getpid()}"), "w").close()
    time.sleep(3600)
if VARIANT == "crashes-after-start":
    threading.Timer(0.5, os.kill, (os.getppid(), signal.SIGKILL)).start()


def slow(milliseconds):
    for part in range(SLICES):
        time.sleep(milliseconds / 1000 / SLICES)
        yield SLOW[len(SLOW) * part // SLICES : len(SLOW) * (part + 1) // SLICES]


def app(environ, start_response):
    pid = os.getpid()
    path = environ["PATH_INFO"]
    if path == "/slow":
        query = parse_qs(environ["QUERY_STRING"])
        length, body = len(SLOW), slow(int(query.get("ms", ["20000"])[0]))
    else:
        text = b"ok\n"
        if path != "/healthz":
            text = b'{"app":"gunicorn","version":"%s","pid":%d,"payload":"%s"}\n' % (VERSION.encode(), pid, PATTERN * 16)
        length, body = len(text), [text]
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(length)),
        ("X-Version", VERSION),
        ("X-Pid", str(pid)),
    ]
    start_response("200 OK", headers)
    return body
