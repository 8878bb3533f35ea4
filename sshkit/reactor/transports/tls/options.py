"""What TLS a side wants: immutable, made once for many connections, checked when made.

Made by programs, used by the layer.  Each keeps the OpenSSL context of its settings; making one costs
milliseconds, a connection of it does not.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto

from ...errors import FAULTS
from ...text import shown, shown_error
from .certificates import (
    CertificateLike,
    KeyLike,
    Pair,
    ReloadingCertificate,
    load_certificates,
    load_pair,
)
from .diagnose import Verdict, is_address, reasons_of
from .errors import NoCommonProtocol, TLSConfigurationError

#: Where to look for the authorities that are trusted: a file or folder, certificates, or None: the system's.
Trust = str | os.PathLike[str] | Sequence[CertificateLike] | None

#: A server's certificate by the name that the client asks for.
Chooser = Callable[[str | None], "TLSServerOptions | None"]

_VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}

#: TLS 1.2: forward secrecy and authenticated encryption only.  TLS 1.3 has nothing else.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"

#: No new handshake inside a connection (SSL_OP_NO_RENEGOTIATION of ssl.h; pyOpenSSL has no name for it).
_NO_RENEGOTIATION = 1 << 30

#: SSL_write takes all it is given: in memory there is always room (SSL_MODE_ENABLE_PARTIAL_WRITE of ssl.h).
_PARTIAL_WRITE = 1

#: Hosts whose sessions a client's options keep for resumption.
SESSIONS_KEPT = 256


class _Immutable:
    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; make another one")

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


class TLSClientOptions(_Immutable):
    """How a client speaks TLS."""

    __slots__ = ("_context", "_sessions", "alpn", "hostname", "resume", "shows_certificate", "verify")
    alpn: tuple[str, ...]
    hostname: str | None
    resume: bool
    shows_certificate: bool
    verify: bool
    _context: SSL.Context
    _sessions: "OrderedDict[str | None, SSL.Session]"

    def __init__(
        self,
        hostname: str | None = None,
        *,
        trust: Trust = None,
        alpn: Sequence[str] = (),
        certificate: "tuple[CertificateLike, KeyLike] | None" = None,
        minimum: str = "TLSv1.2",
        verify: bool = True,
        session: bool = True,
    ) -> None:
        """`hostname` is whose certificate the server must have (None: the host that is connected to).

        `certificate` is ours, with its key, for servers that ask.  `verify=False` takes any certificate: then
        anybody in between can read and change everything.  `session=False` resumes no sessions.
        """
        context = _new_context(SSL.TLS_CLIENT_METHOD, minimum)
        if certificate is not None:
            _show(context, load_pair(*certificate))
        if alpn:
            context.set_alpn_protos(_alpn_bytes(alpn))
        if verify:
            _trust(context, trust)
            context.set_verify(SSL.VERIFY_PEER, _judge)
        else:
            context.set_verify(SSL.VERIFY_NONE, None)
        self._set(
            _context=context,
            _sessions=OrderedDict(),
            alpn=tuple(alpn),
            hostname=hostname,
            resume=session,
            shows_certificate=certificate is not None,
            verify=verify,
        )

    def connection(self, hostname: str | None) -> SSL.Connection:
        """Return a new connection in memory, for a server of that name."""
        if self.verify and hostname is None:
            raise TLSConfigurationError("a host name is needed to verify the certificate of (hostname=...)")
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(Verdict(hostname if self.verify else None))
        if hostname is not None and not is_address(hostname):
            connection.set_tlsext_host_name(_wire_name(hostname))
        if self.resume:
            session = self._sessions.pop(hostname, None)  # a ticket is used once (RFC 8446 appendix C.4)
            if session is not None:
                connection.set_session(session)
        connection.set_connect_state()
        return connection

    def keep_session(self, hostname: str | None, connection: SSL.Connection) -> None:
        """Keep the session of a connection that has ended well, for the next one to that host."""
        session = connection.get_session() if self.resume else None
        if session is not None:
            self._sessions[hostname] = session
            self._sessions.move_to_end(hostname)
            if len(self._sessions) > SESSIONS_KEPT:
                self._sessions.popitem(last=False)

    def __repr__(self) -> str:
        return f"<TLSClientOptions hostname={self.hostname!r} alpn={self.alpn!r} verify={self.verify}>"


class TLSServerOptions(_Immutable):
    """How a server speaks TLS."""

    __slots__ = ("_cache", "_choose", "_resumable", "_source", "_trust", "alpn", "minimum", "require_client")
    alpn: tuple[str, ...]
    minimum: str
    require_client: bool
    _cache: list[Any]
    _choose: Chooser | None
    _resumable: bool
    _source: "Pair | ReloadingCertificate"
    _trust: Trust

    def __init__(
        self,
        certificate: "CertificateLike | ReloadingCertificate",
        key: KeyLike = None,
        chain: Sequence[CertificateLike] = (),
        *,
        alpn: Sequence[str] = (),
        client_trust: Trust = None,
        require_client: bool = False,
        sni: "Mapping[str, TLSServerOptions] | Chooser | None" = None,
        minimum: str = "TLSv1.2",
    ) -> None:
        """`certificate` with `key` and `chain`, or a ReloadingCertificate, is what clients are shown.

        `client_trust`: clients may show a certificate of these authorities, and with `require_client` must.
        `sni`: other options for the name that a client asks for: by name ("*.example.org" holds for one
        label), or a function of the name, None where the client asks for none; it answers None for these.
        `alpn`: the application protocols, best first; a client that names none of them is refused.
        """
        if require_client and client_trust is None:
            raise TLSConfigurationError("require_client needs client_trust: whose certificates are good?")
        _alpn_bytes(alpn)
        source: Pair | ReloadingCertificate
        if isinstance(certificate, ReloadingCertificate):
            source = certificate
        else:
            source = load_pair(certificate, key, chain)
        self._set(
            _cache=[None, None],
            _choose=_by_name(sni) if isinstance(sni, Mapping) else sni,
            _resumable=sni is None
            or (
                isinstance(sni, Mapping)
                and client_trust is None
                and all(options._trust is None for options in sni.values())
            ),
            _source=source,
            _trust=client_trust,
            alpn=tuple(alpn),
            minimum=minimum,
            require_client=require_client,
        )
        self.context()

    def context(self) -> SSL.Context:
        """Return the context for the certificate that is to be shown now."""
        source = self._source
        pair = source.current() if isinstance(source, ReloadingCertificate) else source
        cache = self._cache
        if cache[0] is not pair:
            cache[1] = self._make_context(pair)
            cache[0] = pair
        return cache[1]  # type: ignore[no-any-return]

    def _make_context(self, pair: Pair) -> SSL.Context:
        context = _new_context(SSL.TLS_SERVER_METHOD, self.minimum)
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
        _show(context, pair)
        # Sessions of another service that shares a ticket key by chance are not ours.
        context.set_session_id(hashlib.sha256(repr((self.alpn, self.require_client)).encode()).digest())
        if not self._resumable:
            # OpenSSL resumes before it asks for the options of a name, so a session of a name that wants no
            # client certificate could be taken for one of a name that does.
            context.set_options(SSL.OP_NO_TICKET)
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if self._trust is not None:
            for authority in _trust(context, self._trust):
                context.add_client_ca(authority)
            context.set_verify(self._verify_mode(), _judge)
        if self.alpn:
            ours = _alpn_bytes(self.alpn)

            def choose(connection: SSL.Connection, theirs: list[bytes]) -> bytes:
                for protocol in ours:
                    if protocol in theirs:
                        return protocol
                names = ", ".join(shown(name) for name in theirs[:10])
                raise NoCommonProtocol(
                    f"no application protocol in common: the client has {names}, we {', '.join(self.alpn)}"
                )

            context.set_alpn_select_callback(choose)
        if self._choose is not None:
            context.set_tlsext_servername_callback(self._switch)
        return context

    def _verify_mode(self) -> int:
        if self._trust is None:
            return SSL.VERIFY_NONE
        return SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if self.require_client else 0)

    def _switch(self, connection: SSL.Connection) -> None:
        """Go on with the options for the name that the client asks for.  Must not raise: OpenSSL calls it."""
        verdict = connection.get_app_data()
        try:
            name = connection.get_servername()
            assert self._choose is not None
            other = self._choose(None if name is None else name.decode("ascii").lower())
            if other is not None and other is not self:
                connection.set_context(other.context())
                connection.set_verify(other._verify_mode(), _judge)
        except FAULTS as error:
            verdict.fault = error

    def connection(self, hostname: str | None) -> SSL.Connection:
        """Return a new connection in memory."""
        connection = SSL.Connection(self.context(), None)
        connection.set_app_data(Verdict(None))
        connection.set_accept_state()
        return connection

    def __repr__(self) -> str:
        return f"<TLSServerOptions alpn={self.alpn!r} require_client={self.require_client}>"


TLSOptions = TLSClientOptions | TLSServerOptions


def _judge(connection: SSL.Connection, certificate: Any, code: int, depth: int, ok: int) -> bool:
    """Be OpenSSL's callback for each certificate of a chain."""
    verdict = connection.get_app_data()
    try:
        return bool(verdict.judge(certificate.to_cryptography(), code if not ok else 0, depth))
    except Exception as error:  # a certificate that cannot even be read is not a good one
        verdict.fault = error
        return False


def _new_context(method: int, minimum: str) -> SSL.Context:
    if minimum not in _VERSIONS:
        raise TLSConfigurationError(f"minimum must be one of {', '.join(_VERSIONS)}, not {minimum!r}")
    context = SSL.Context(method)
    context.set_min_proto_version(_VERSIONS[minimum])
    context.set_cipher_list(CIPHERS)
    context.set_options(SSL.OP_NO_COMPRESSION | _NO_RENEGOTIATION)
    context.clear_mode(_PARTIAL_WRITE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # idle connections stay small
    return context


def _show(context: SSL.Context, pair: Pair) -> None:
    try:
        context.use_certificate(pair.certificate)
        context.use_privatekey(pair.key)
        for certificate in pair.chain:
            context.add_extra_chain_cert(certificate)
        context.check_privatekey()
    except (SSL.Error, TypeError, crypto.Error) as error:
        raise TLSConfigurationError(f"the certificate cannot be used: {shown(reasons_of(error))}") from None


def _trust(context: SSL.Context, trust: Trust) -> list[x509.Certificate]:
    """Tell a context whom to trust; return the authorities where they are named one by one."""
    if trust is None:
        context.set_default_verify_paths()
        return []
    if isinstance(trust, str | os.PathLike):
        if os.path.isdir(trust):
            context.load_verify_locations(None, os.fspath(trust))
            return []
        authorities = load_certificates(trust)
    else:
        authorities = [one for source in trust for one in load_certificates(source)]
    store = context.get_cert_store()
    assert store is not None
    for certificate in authorities:
        store.add_cert(crypto.X509.from_cryptography(certificate))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # what is named is trusted, a root or not
    return authorities


def _alpn_bytes(names: Sequence[str]) -> list[bytes]:
    protocols = [name.encode("ascii", "replace") for name in names]
    if isinstance(names, str) or not all(0 < len(name) < 256 for name in protocols):
        raise TLSConfigurationError(f"alpn must be a sequence of names of 1 to 255 characters, not {names!r}")
    return protocols


def _wire_name(hostname: str) -> bytes:
    """Return a host name as it goes into the handshake (IDNA, without a final dot)."""
    try:
        return hostname.rstrip(".").encode("ascii" if hostname.isascii() else "idna")
    except UnicodeError as error:
        raise TLSConfigurationError(f"{shown(hostname)} is no host name: {shown_error(error)}") from None


def _by_name(table: "Mapping[str, TLSServerOptions]") -> Chooser:
    names = {name.lower(): options for name, options in table.items()}

    def choose(name: str | None) -> TLSServerOptions | None:
        if name is None:
            return None
        return names.get(name) or names.get(f"*.{name.partition('.')[2]}")

    return choose
