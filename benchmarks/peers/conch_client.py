"""Twisted Conch as a client: logins and commands."""

from twisted.conch.ssh import channel, common, connection, keys, transport, userauth
from twisted.internet import defer, protocol, reactor, task

from benchmarks.peers.common import Job, Watch

JOB: Job


class Authentication(userauth.SSHUserAuthClient):
    """Logs in by the user's key."""

    def getPublicKey(self):  # type: ignore[no-untyped-def]
        return None if self.lastAuth == b"publickey" else KEY.public()

    def getPrivateKey(self):  # type: ignore[no-untyped-def]
        return defer.succeed(KEY)


class Connection(connection.SSHConnection):
    """Tells when it is there."""

    def __init__(self, ready) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.ready = ready

    def serviceStarted(self) -> None:
        super().serviceStarted()
        self.ready.callback(self)


class Client(transport.SSHClientTransport):
    """One connection, with the cipher of the case."""

    def __init__(self, ready) -> None:  # type: ignore[no-untyped-def]
        self.ready = ready
        self.supportedCiphers = [JOB.cipher.encode()]
        self.supportedMACs = [JOB.mac.encode()]

    def verifyHostKey(self, key: bytes, fingerprint: bytes):  # type: ignore[no-untyped-def]
        return defer.succeed(key == HOST.blob())

    def connectionSecure(self) -> None:
        self.requestService(Authentication(b"joe", Connection(self.ready)))


class Command(channel.SSHChannel):
    """Runs one command; `done` fires when it has ended."""

    name = b"session"

    def __init__(self, command: bytes) -> None:
        super().__init__()
        self.command = command
        self.done: defer.Deferred[None] = defer.Deferred()

    def channelOpen(self, data: bytes) -> None:
        self.conn.sendRequest(self, b"exec", common.NS(self.command))

    def closed(self) -> None:
        self.done.callback(None)


def connect():  # type: ignore[no-untyped-def]
    ready: defer.Deferred[Connection] = defer.Deferred()
    creator = protocol.ClientCreator(reactor, Client, ready)
    return creator.connectTCP("127.0.0.1", JOB.port).addCallback(lambda _: ready)


async def run(opened: Connection, command: bytes) -> None:
    started = Command(command)
    opened.openChannel(started)
    await started.done


async def login() -> None:
    opened = await connect()
    await run(opened, b"true")
    opened.transport.loseConnection()


async def gather(*coroutines) -> None:  # type: ignore[no-untyped-def]
    await defer.gatherResults([defer.Deferred.fromCoroutine(coroutine) for coroutine in coroutines])


async def main() -> None:
    await login()
    if JOB.case == "login":
        watch = Watch()
        await JOB.repeat(gather, login)
        watch.done()
        return
    opened = await connect()

    async def execute() -> None:
        await run(opened, b"true")

    watch = Watch()
    await JOB.repeat(gather, execute)
    watch.done()


if __name__ == "__main__":
    JOB = Job()
    KEY = keys.Key.fromFile(JOB.user_key)
    HOST = keys.Key.fromFile(f"{JOB.folder}/host.pub")
    task.react(lambda _: defer.Deferred.fromCoroutine(main()))
