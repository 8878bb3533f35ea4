"""An ASGI application with a manhole: what it holds in memory can be looked at while it serves.

MANHOLE_PORT=8822 uvicorn examples.manhole_starlette:app
ssh -p 8822 127.0.0.1 'app.state.visits'
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sshkit import manhole


async def home(request: Request) -> PlainTextResponse:
    """Count a visit."""
    app.state.visits += 1
    return PlainTextResponse(f"visit {app.state.visits}\n")


@asynccontextmanager
async def lifespan(application: Starlette) -> AsyncIterator[None]:
    """Open the manhole with the application, on the same loop, and close it with it."""
    application.state.visits = 0
    port = int(os.environ.get("MANHOLE_PORT", "0"))
    async with manhole.serve({"app": application}, port=port, title="the shop") as door:
        application.state.manhole = door
        yield


app = Starlette(routes=[Route("/", home)], lifespan=lifespan)
