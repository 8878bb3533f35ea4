"""Notes in a database, for people who log in; docs/core/tutorial.md builds it step by step.

python examples/notes_service.py notes.db --person ann
python examples/notes_service.py notes.db --daemon --pid-file notes.pid --log notes.log
nc 127.0.0.1 8024
{"do": "login", "name": "ann", "password": "secret"}
{"do": "add", "text": "buy bread"}
{"do": "list"}
"""

import argparse
import getpass
import json
import logging
import os
import sys
from typing import Any

import sshkit
from sshkit.cred import AvatarMaker, LoginFailed, Portal, QueryChecker, UsernamePassword, hash_password
from sshkit.databases import ConnectionPool, DatabaseError
from sshkit.interfaces import Transport
from sshkit.protocols.framing import Lines
from sshkit.reactor.flow import ConnectionLimits, TimeLimits
from sshkit.service import Service, add_program_options, program_options, run_service

GRACE = 10.0  # seconds that a client has to read its last answer when the service stops

log = logging.getLogger("notes")

TABLES = (
    "CREATE TABLE IF NOT EXISTS person (name TEXT PRIMARY KEY, hash TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS note (owner TEXT NOT NULL, body TEXT NOT NULL)",
)


async def open_store(path: str) -> ConnectionPool:
    """Return the database, with its tables."""
    pool = ConnectionPool("sqlite3", path)
    try:
        for statement in TABLES:
            await pool.run_operation(statement)
    except BaseException:
        await pool.close()
        raise
    return pool


async def add_person(path: str, name: str, password: str) -> None:
    """Let somebody log in."""
    async with await open_store(path) as pool:
        await pool.run_operation("INSERT INTO person VALUES (?, ?)", (name, hash_password(password)))


class Notes:
    """What somebody who has logged in can do: the avatar."""

    def __init__(self, pool: ConnectionPool, owner: str) -> None:
        self.pool = pool
        self.owner = owner

    async def add(self, text: str) -> int:
        """Keep a note; return how many there are now."""
        return await self.pool.run_interaction(insert, self.owner, text)

    async def all(self) -> list[str]:
        """Return every note, the oldest first."""
        sql = "SELECT body FROM note WHERE owner = ? ORDER BY rowid"
        return [body for (body,) in await self.pool.run_query(sql, (self.owner,))]


def insert(transaction: Any, owner: str, text: str) -> int:
    """Insert and count in one transaction; called in a thread of the pool."""
    transaction.execute("INSERT INTO note VALUES (?, ?)", (owner, text))
    return int(transaction.execute("SELECT count(*) FROM note WHERE owner = ?", (owner,)).fetchone()[0])


class Refused(Exception):
    """A request that cannot be done; the text is told."""


def parse(line: bytes) -> dict[str, str]:
    """Return a request; whatever else a client may send is refused."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict) or not all(isinstance(value, str) for value in request.values()):
        raise Refused("a request is a JSON object of texts")
    return request


class Client(Lines):
    """One connection: a request and an answer a line, both of them JSON."""

    delimiter = b"\n"

    def __init__(self, service: "NotesService") -> None:
        super().__init__()
        self.service = service
        self.notes: Notes | None = None
        self.busy = False

    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        self.service.clients.add(self)
        self.done = sshkit.ensure_deferred(self.talk())

    async def talk(self) -> None:
        try:
            async for line in self:
                self.busy = True
                self.send_line(json.dumps(await self.answer(line)).encode())
                await self.drain()
                self.busy = False
                if not self.service.running:
                    break
        except (OSError, sshkit.SSHKitError) as error:
            log.info("a client is gone: %s", error)
        finally:
            self.service.clients.discard(self)
            self.close()

    async def answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = parse(line)
            return {"ok": await self.do(request)}
        except Refused as error:
            return {"error": str(error)}
        except LoginFailed as error:
            return {"error": error.told}
        except DatabaseError as error:
            log.error("a request failed: %s", error)
            return {"error": "the database cannot do that now"}

    async def do(self, request: dict[str, str]) -> Any:
        if request.get("do") == "login":
            who = UsernamePassword(request.get("name", ""), request.get("password", ""))
            self.notes = (await self.service.portal.login(who)).avatar
            return f"hello {self.notes.owner}"
        if self.notes is None:
            raise Refused("log in first")
        if request.get("do") == "add":
            return await self.notes.add(request.get("text", ""))
        if request.get("do") == "list":
            return await self.notes.all()
        raise Refused("there are login, add and list")

    def finish(self) -> "sshkit.Deferred[None]":
        """Answer what is being worked on, and close; in GRACE seconds, whether the answer is read or not."""
        if not self.busy:
            self.close()
        sshkit.current_reactor().call_later(GRACE, self.transport.abort)
        return self.done


class NotesService(Service):
    """The whole: the database, the portal, the port."""

    pool: ConnectionPool
    portal: "Portal[Notes]"
    listener: Any

    def __init__(self, place: str, database: str) -> None:
        super().__init__("notes")
        self.place = place
        self.database = database
        self.clients: set[Client] = set()

    async def start(self) -> None:
        self.pool = await open_store(self.database)
        checker = QueryChecker(self.pool, "SELECT hash FROM person WHERE name = :name")
        self.portal = Portal(AvatarMaker(lambda name: Notes(self.pool, name)), [checker])
        factory = ConnectionLimits(TimeLimits(lambda: Client(self), idle=300), total=500, each=20)
        try:
            self.listener = await sshkit.server_from_string(self.place).listen(factory)
        except BaseException:
            await self.pool.close()
            raise

    async def stop(self) -> None:
        self.listener.close()
        await sshkit.gather(*(client.finish() for client in tuple(self.clients)))
        await self.pool.close()


def main(arguments: list[str]) -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(description="Notes for people who log in.")
    parser.add_argument("database")
    parser.add_argument("--place", default="tcp:8024:interface=127.0.0.1", help="where to listen")
    parser.add_argument("--person", help="let this person log in, with a password that is asked for")
    add_program_options(parser)
    options = parser.parse_args(arguments)
    if options.person:
        sshkit.run(add_person(options.database, options.person, getpass.getpass()))
        return 0
    database = os.path.abspath(options.database)  # a daemon works in another folder
    return run_service(NotesService(options.place, database), program_options(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
