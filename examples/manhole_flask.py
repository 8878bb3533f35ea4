"""A WSGI application with a manhole in a thread of its own.

MANHOLE_PORT=8822 flask --app examples.manhole_flask run
ssh -p 8822 127.0.0.1 'visits'
"""

import os

from flask import Flask

from sshkit import manhole

app = Flask(__name__)
visits: list[str] = []
#: Each process that imports this has its own; with several workers give each a port, or a UNIX socket.
door = manhole.start(globals(), port=int(os.environ.get("MANHOLE_PORT", "0")), names="shared")


@app.get("/")
def home() -> str:
    """Count a visit."""
    visits.append("/")
    return f"visit {len(visits)}\n"
