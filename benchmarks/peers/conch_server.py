"""Twisted Conch as a server: logins and commands; bulk data would measure our use of its producers."""

import sys

from twisted.conch import avatar, interfaces
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.ssh import factory, keys, session
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from zope.interface import implementer


class User(avatar.ConchUser):
    """Anybody."""

    def __init__(self) -> None:
        super().__init__()
        self.channelLookup[b"session"] = session.SSHSession


@implementer(interfaces.ISession)
class Session:
    """Answers every command with status 0."""

    def __init__(self, user: User) -> None:
        pass

    def execCommand(self, process, command: bytes) -> None:  # type: ignore[no-untyped-def]
        process.session.conn.sendRequest(process.session, b"exit-status", b"\0\0\0\0")
        process.session.loseConnection()

    def getPty(self, *details: object) -> None: ...

    def openShell(self, process: object) -> None: ...

    def eofReceived(self) -> None: ...

    def closed(self) -> None: ...


@implementer(IRealm)
class Realm:
    """Gives everybody a User."""

    def requestAvatar(self, name: bytes, mind: object, *wanted: object):  # type: ignore[no-untyped-def]
        return wanted[0], User(), lambda: None


def main() -> None:
    from twisted.python import components

    components.registerAdapter(Session, User, interfaces.ISession)
    folder = sys.argv[1]
    server = factory.SSHFactory()
    host = keys.Key.fromFile(f"{folder}/host")
    server.publicKeys = {host.sshType(): host.public()}
    server.privateKeys = {host.sshType(): host}
    database = InMemorySSHKeyDB({b"joe": [keys.Key.fromFile(f"{folder}/user.pub")]})
    server.portal = Portal(Realm(), [SSHPublicKeyChecker(database)])
    port = reactor.listenTCP(0, server, interface="127.0.0.1", backlog=200)
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
