"""sshd_config keywords that are read and checked and change nothing here, each with the reason, in one table.

Called by `sshd_options`, which notes them, and by the documentation.
"""

from typing import NamedTuple


class Without(NamedTuple):
    """A keyword without effect."""

    spelled: str
    neutral: tuple[str, ...]  #: values, in lower case, that ask for nothing, so that nothing is said
    reason: str


_NO = ("no", "false")
_YES = ("yes", "true")
_KEX = "key exchange by GSSAPI is not offered"
_GSSAPI = "Kerberos tickets are taken by the library (`Users(gssapi=...)`), not by sshkit-server"
_KERBEROS = "passwords are not checked by Kerberos; PAM and GSSAPIAuthentication can"

WITHOUT_EFFECT: dict[str, Without] = {
    without.spelled.lower(): without
    for without in (
        Without("DebianBanner", _YES, "the identification names sshkit only"),
        Without("GSSAPIAuthentication", _NO, _GSSAPI),
        Without("GSSAPICleanupCredentials", _YES, _GSSAPI),
        Without("GSSAPIDelegateCredentials", _YES, _GSSAPI),
        Without("GSSAPIEnablek5users", _NO, "`~/.k5users` is not read"),
        Without("GSSAPIKexAlgorithms", (), _KEX),
        Without("GSSAPIKeyExchange", _NO, _KEX),
        Without("GSSAPIStoreCredentialsOnRekey", _NO, _KEX),
        Without("GSSAPIStrictAcceptorCheck", _YES, _GSSAPI),
        Without("IPQoS", (), "the system's own marking of packets stays"),
        Without("KerberosAuthentication", _NO, _KERBEROS),
        Without("KerberosGetAFSToken", _NO, _KERBEROS),
        Without("KerberosOrLocalPasswd", _YES, _KERBEROS),
        Without("KerberosTicketCleanup", _YES, _KERBEROS),
        Without("LogVerbose", ("none",), "it names OpenSSH's own source files; LogLevel does the rest"),
        Without("RDomain", ("none",), "sessions stay in the routing domain that the server was started in"),
        Without("SecurityKeyProvider", ("internal",), "a server needs no library to check security keys"),
        Without("SshdAuthPath", (), "it names a program of OpenSSH's own"),
        Without("SshdSessionPath", (), "it names a program of OpenSSH's own"),
        Without("UseDNS", _NO, "names of hosts are not looked up: patterns match addresses"),
    )
}
