"""Make the seeds of what is not a key anew: ``python -m tests.fuzz.make_peer_corpus``.

They are made by our own encoders, from fixed values; a file of a kind is a few lines.
"""

import shutil
from collections.abc import Iterator

from sshkit_keys.wire import boolean, byte, string, uint32

from sshkit.server.workers import messages as worker
from sshkit.sftp import messages as sftp
from sshkit.sftp.attributes import Attributes
from sshkit.ssh.agent import messages as agent
from sshkit.ssh.agent.private_keys import encode_key
from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.channels import session
from sshkit.ssh.messages import authentication as login
from sshkit.ssh.messages import connection, transport
from sshkit.ssh.transport.negotiation import propose
from tests.fuzz.targets import CORPUS, FILES, PEERS, kex_values
from tests.fuzz.targets.keyless import KEY, METHODS
from tests.fuzz.targets.pieces import joined, random_bytes

Seeds = Iterator[tuple[str, bytes]]
PACKET = b"\1\4\2payload\0\0\0\0"  # sealed: padding of 4, a message 2


def ssh_config() -> Seeds:
    yield "hosts", b"Host *.example.org !bad\n  User me\n  Port 2222\n  LocalForward 8080 [::1]:80\n"
    yield "match", b"Match host host.example.org final\n IdentityFile ~/.ssh/%h\nInclude other\n"
    yield (
        "rest",
        b"ProxyJump a@b:22,c\nSendEnv LANG LC_*\nCiphers +aes128-ctr\nRekeyLimit 1G 1h\nHostname %h\n",
    )


def sshd_config() -> Seeds:
    yield "plain", b"Port 22\nListenAddress [::1]:2222\nPermitRootLogin no\nMaxStartups 10:30:100\n"
    yield "match", b'Match user a,b address 10.0.0.0/8,!10.1.2.3\n ForceCommand "x y"\n PermitOpen h:*\n'
    yield "rest", b"PerSourcePenalties crash:1m\nChannelTimeout session=5m\nSubsystem sftp internal-sftp -R\n"


def moduli() -> Seeds:
    yield "line", b"# time\n20240101000000 2 6 100 2047 2 " + b"%X" % ((1 << 2048) - 1) + b"\n"


def recording() -> Seeds:
    yield "v2", b'{"version": 2, "width": 80, "height": 24}\n[0.1, "o", "hello\\r\\n"]\n[1, "r", "100x50"]\n'
    yield (
        "v3",
        b'{"version":3,"term":{"cols":80,"rows":24}}\n#x\n[0.5,"i","q"]\n[0.5,"x","0"]\n[0.1,"m",""]\n',
    )


def password_file() -> Seeds:
    yield "two", b"# names\nuser:$2b$04$" + b"a" * 53 + b"\nother:$2b$12$" + b"./" * 26 + b"A\n"


def packets(*choices: int) -> Seeds:
    for choice in choices:
        yield f"sealed-{choice}", bytes((choice,)) + joined(PACKET, PACKET)


def packet_clear() -> Seeds:
    yield "three", joined(PACKET, PACKET, b"\0" + bytes((0, 0, 0, 12, 4)) + bytes(11))


def packet_compressed() -> Seeds:
    yield "text", joined(b"\1\2abc abc abc", b"\5\2" + bytes(20))


def identification() -> Seeds:
    yield "line", joined(b"SSH-2.0-peer comment\r\n")
    yield "lines", joined(b"hello\r\nSSH-1.99", b"-peer\n", bytes((0, 0, 0, 12, 4, 20)) + bytes(10))


def kexinit() -> Seeds:
    yield "own", propose(DEFAULT, ("ssh-ed25519", "rsa-sha2-512"), ("ext-info-c",), random_bytes(16))[1:]


def kex_values_seeds() -> Seeds:
    for index, method in enumerate(kex_values.METHODS):
        public = method(random_bytes).client_public()
        yield f"{method.name.split('@')[0]}-init", bytes((index * 2 + 1,)) + method.init(public).encode()[1:]
        answer = method(random_bytes).server_respond(public)[0]
        reply = method.reply(KEY.public.blob, answer, string(b"ssh-ed25519") + string(bytes(64)))
        yield f"{method.name.split('@')[0]}-reply", bytes((index * 2,)) + reply.encode()[1:]


def kex_server() -> Seeds:
    for index, method in enumerate(METHODS):
        if method.name.startswith(("curve", "diffie-hellman-group14")) and not method.chooses_group:
            init = method.init(method(random_bytes).client_public()).encode()
            yield method.name.split("@")[0], bytes((index,)) + joined(init, b"\x15", b"\2x")
        if method.chooses_group:
            request = transport.KexGroupRequest(2048, 3072, 8192).encode()
            yield method.name, bytes((index,)) + joined(request, transport.KexGroupInit(1 << 2000).encode())
    curve = next(index for index, method in enumerate(METHODS) if method.name == "curve25519-sha256")
    lenient = next(number for number in range(128, 256) if number % len(METHODS) == curve)
    yield "whole", bytes((lenient,)) + joined(b"", transport.ServiceRequest("ssh-userauth").encode())


def kex_client() -> Seeds:
    blob, signature = KEY.public.blob, string(b"ssh-ed25519") + string(bytes(64))
    for index, method in enumerate(METHODS):
        if method.name.startswith(("curve", "diffie-hellman-group14")) and not method.chooses_group:
            answer = method(random_bytes).server_respond(method(random_bytes).client_public())[0]
            yield (
                method.name.split("@")[0],
                bytes((index,)) + joined(method.reply(blob, answer, signature).encode()),
            )
        if method.chooses_group:
            group = transport.KexGroup((1 << 2048) - 1, 2).encode()
            reply = transport.KexGroupReply(blob, 1 << 2000, signature).encode()
            yield method.name, bytes((index,)) + joined(group, reply)
    yield (
        "whole",
        bytes((5,)) + joined(b"", transport.ExtInfo(1, string(b"server-sig-algs") + string(b"x")).encode()),
    )


def request(method: str, body: bytes) -> bytes:
    """Return a request to log in."""
    return login.UserauthRequest("user", "ssh-connection", method, body).encode()


def login_server() -> Seeds:
    service = transport.ServiceRequest("ssh-userauth").encode()
    blob = string(b"ssh-ed25519") + string(KEY.public.blob)
    yield "none", joined(service, request("none", b""))
    yield "password", joined(service, request("password", boolean(False) + string(b"old")))
    yield "change", joined(service, request("password", boolean(True) + string(b"old") + string(b"new")))
    yield "key", joined(service, request("publickey", boolean(False) + blob))
    answers = login.UserauthInfoResponse(2, string(b"a") + string(b"b")).encode()
    yield "questions", joined(service, request("keyboard-interactive", string(b"") + string(b"")), answers)
    signed = string(string(b"ssh-ed25519") + string(bytes(64)))
    yield "signed", joined(service, request("publickey", boolean(True) + blob + signed))
    yield "host", joined(service, request("hostbased", blob + string(b"host.") + string(b"me") + signed))


def login_client() -> Seeds:
    service = transport.ServiceAccept("ssh-userauth").encode()
    failure = login.UserauthFailure(("publickey", "password", "keyboard-interactive"), False).encode()
    yield "refused", joined(service, failure, failure, failure)
    yield (
        "in",
        joined(service, login.UserauthBanner(b"hello\n", b"").encode(), login.UserauthSuccess().encode()),
    )
    question = login.UserauthInfoRequest(b"title", b"do", b"", 1, string(b"Code: ") + boolean(True)).encode()
    yield "asked", joined(service, failure, failure, question, question, failure)
    key = login.UserauthPublicKeyOk("ssh-ed25519", KEY.public.blob).encode()
    yield "key", joined(service, failure, key, failure)
    change = login.UserauthPasswordChangeRequest(b"expired", b"").encode()
    yield "change", joined(service, failure, failure, failure, change)


def channels() -> Seeds:
    opened = connection.ChannelOpen("session", 7, 1000, 100, b"").encode()
    yield (
        "open",
        joined(opened, connection.ChannelData(2, b"hello").encode(), connection.ChannelEof(2).encode()),
    )
    confirmed = connection.ChannelOpenConfirmation(0, 5, 100, 100, b"").encode()
    data = connection.ChannelExtendedData(0, 1, b"error").encode()
    asked = connection.ChannelRequest(0, "exit-status", True, b"later").encode()
    yield "opened", joined(confirmed, data, asked, connection.ChannelClose(0).encode())
    refused = connection.ChannelOpenFailure(1, 1, b"no", b"").encode()
    wide = connection.ChannelWindowAdjust(0, 0xFFFFFFFF).encode()
    yield (
        "refused",
        joined(refused, confirmed, wide, bytes((connection.ChannelSuccess(0).encode()[0],)) + bytes(4)),
    )
    yield "global", joined(connection.GlobalRequest("x", True, b"yes").encode(), b"\x51", b"\x52")


def session_server() -> Seeds:
    def ask(kind: str, body: bytes) -> bytes:
        return connection.ChannelRequest(0, kind, True, body).encode()

    opened = connection.ChannelOpen("session", 0, 100_000, 32_000, b"").encode()
    terminal = session.PtyRequest("xterm", 80, 24, 0, 0, b"\1\0\0\0\3\0").encode()
    yield (
        "shell",
        joined(
            opened, ask("pty-req", terminal), ask("env", string(b"LANG") + string(b"C")), ask("shell", b"")
        ),
    )
    yield "exec", joined(opened, ask("exec", string(b"true")), ask("signal", string(b"TERM")))
    yield "wait", joined(opened, ask("exec", string(b"cat")), connection.ChannelData(0, b"x").encode())
    place = string(b"127.0.0.1") + uint32(80) + string(b"::1") + uint32(1)
    yield "direct", joined(connection.ChannelOpen("direct-tcpip", 0, 9, 9, place).encode())
    listen = string(b"localhost") + uint32(0)
    yield (
        "listen",
        joined(
            *(
                connection.GlobalRequest(f"{word}tcpip-forward", True, listen).encode()
                for word in ("", "cancel-")
            )
        ),
    )


def session_client() -> Seeds:
    opened = connection.ChannelOpenConfirmation(0, 0, 1000, 1000, b"").encode()
    status = connection.ChannelRequest(0, "exit-status", False, uint32(0)).encode()
    yield (
        "done",
        joined(
            opened, b"\x63" + bytes(4), connection.ChannelData(0, b"out").encode(), status, b"\x61" + bytes(4)
        ),
    )
    killed = string(b"TERM") + boolean(False) + string(b"gone") + string(b"")
    yield (
        "killed",
        joined(
            opened, b"\x63" + bytes(4), connection.ChannelRequest(0, "exit-signal", False, killed).encode()
        ),
    )
    keys = connection.GlobalRequest("hostkeys-00@openssh.com", False, string(KEY.public.blob)).encode()
    place = string(b"localhost") + uint32(80) + string(b"::1") + uint32(1)
    yield (
        "asked",
        joined(keys, connection.ChannelOpen("forwarded-tcpip", 0, 9, 9, place).encode(), b"\x64" + bytes(4)),
    )


def sftp_server() -> Seeds:
    def ask(kind: int, body: bytes) -> bytes:
        return byte(kind) + uint32(kind) + body

    handle = bytes(15) + b"\1"
    opening = ask(sftp.OPEN, string(b"/f") + uint32(0x1A) + uint32(0))
    for version in range(4):
        folder = ask(sftp.MKDIR, string(b"/d") + uint32(0) + (b"" if not version else b"\2"))
        yield (
            f"paths-{version}",
            bytes((version,))
            + joined(folder, ask(sftp.STAT, string(b"/d")), ask(sftp.OPENDIR, string(b"/"))),
        )
    yield (
        "file",
        b"\0"
        + joined(
            opening,
            ask(sftp.WRITE, string(handle) + bytes(8) + string(b"data")),
            ask(sftp.READ, string(handle) + bytes(8) + uint32(100)),
            ask(sftp.CLOSE, string(handle)),
        ),
    )
    names = ask(sftp.RENAME, string(b"/f") + string(b"/g")), ask(sftp.SYMLINK, string(b"/g") + string(b"/l"))
    extended = ask(sftp.EXTENDED, string(b"statvfs@openssh.com") + string(b"/"))
    yield "names", b"\0" + joined(opening, *names, ask(sftp.READLINK, string(b"/l")), extended)


def sftp_client() -> Seeds:
    attributes = sftp.pack_attrs(0, Attributes(size=8, permissions=0o100644))[9:]
    version = b"\2" + uint32(3) + string(b"posix-rename@openssh.com") + string(b"1")
    yield "truth", joined(b"\1")
    yield (
        "version",
        joined(version, b"\x69" + attributes, b"\x66" + string(b"handle"), b"\x67" + string(b"contents")),
    )
    name = b"\x68" + uint32(1) + string(b"name") + string(b"-rw-r--r--") + attributes
    status = b"\x65" + uint32(1) + string(b"end") + string(b"")
    yield "listing", joined(version, b"\1", b"\1", b"\1", status, b"\x66" + string(b"h"), name, status)


def agent_server() -> Seeds:
    yield "list", joined(b"\x0b", agent.SignRequest(KEY.public.blob, b"data", 0).encode(), b"\x13", b"\x0b")
    yield (
        "add",
        joined(b"\x11" + encode_key(KEY, "new"), b"\x19" + encode_key(KEY, "new") + b"\1" + uint32(60)),
    )
    yield "lock", joined(b"\x16" + string(b"x"), b"\x0b", b"\x17" + string(b"x"), b"\x1b" + string(b"query"))


def agent_client() -> Seeds:
    listed = b"\x0c" + uint32(1) + string(KEY.public.blob) + string(b"comment")
    signature = b"\x0e" + string(KEY.sign("ssh-ed25519", b"data"))
    yield "answers", joined(listed, signature, b"\6", listed, b"\6", b"\6")
    yield "refusals", joined(b"\5", b"\5", b"\x1c", b"\x0c" + bytes(4))


def proxy_header() -> Seeds:
    yield "v1", b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 22\r\nSSH-2.0-x\r\n"
    head = b"\r\n\r\n\0\r\nQUIT\n"
    yield "v2", head + b"\x21\x11\0\x0c" + bytes((192, 0, 2, 1, 127, 0, 0, 1, 0, 99, 0, 22)) + b"SSH-"
    yield "v2-six", head + b"\x21\x21\0\x27" + bytes(36) + b"\4\0\0"


def metrics_request() -> Seeds:
    yield "get", joined(b"GET /metrics HTTP/1.1\r\nHost: x\r\n", b"\r\n")
    yield "head", joined(b"HEAD /?x HTTP/1.0\r\n\r\n")


def monitor() -> Seeds:
    sign = worker.Sign(1, 1, "ssh-ed25519", random_bytes(32)).encode()
    prepare = worker.Prepare(2, 1, "user", b"SSH-2.0-x").encode()
    key = KEY.public.blob
    asked = {
        "none": b"",
        "publickey": worker.KeyQuestion(key, "ssh-ed25519", False, b"", b"").encode(),
        "password": worker.PasswordQuestion("wrong", False, "").encode(),
        "keyboard-interactive": boolean(True) + uint32(1) + string(b"answer"),
        "hostbased": worker.HostQuestion(key, "ssh-ed25519", b"x", "host", "me").encode(),
    }
    for method, body in asked.items():
        yield method, b"\0" + joined(sign, prepare, worker.Ask(3, 1, method, body).encode())
    signed = worker.KeyQuestion(
        key, "ssh-ed25519", True, string(b"ssh-ed25519") + string(bytes(64)), key
    ).encode()
    failed, ended = (
        worker.Failed(1, "user", "none", "why").encode(),
        worker.Ended(2, "crash", 1, 2, "").encode(),
    )
    yield (
        "signed",
        b"\0" + joined(b"\x0f", sign, prepare, worker.Ask(3, 1, "publickey", signed).encode(), failed, ended),
    )
    yield "address", b"\1" + joined(worker.Address(1, "192.0.2.7", 9, "::1", 22).encode(), sign)


MAKERS = {
    "packet_chacha": lambda: packets(0),
    "packet_gcm": lambda: packets(0, 1),
    "packet_ctr": lambda: packets(0, 1, 2, 3),
    "packet_cbc": lambda: packets(0, 1, 12),
    "kex_values": kex_values_seeds,
    "channels_server": channels,
    "channels_client": channels,
}


def main() -> None:
    for target in FILES + PEERS:
        home = CORPUS / target
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        make = MAKERS.get(target) or globals()[target]
        for seed, data in make():
            (home / seed.replace("/", "-")).write_bytes(data)


if __name__ == "__main__":
    main()
