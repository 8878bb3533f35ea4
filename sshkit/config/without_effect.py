"""ssh_config keywords that exist in OpenSSH and change nothing here, each with the reason, in one table.

Called by `ssh_config`, and by the documentation.  A keyword whose loss changes nothing that matters is noted
under -v; one that a user would miss is said aloud.
"""

from typing import Final, NamedTuple

NOTE: Final = "note"  #: told under -v
SAY: Final = "say"  #: told, unless -q


class Without(NamedTuple):
    """A keyword without effect."""

    spelled: str
    outcome: str
    neutral: tuple[str, ...]  #: values, in lower case, that ask for nothing
    reason: str


_NO = ("no", "false")

WITHOUT_EFFECT: dict[str, Without] = {
    without.spelled.lower(): without
    for without in (
        Without("GSSAPIKeyExchange", SAY, _NO, "key exchange by GSSAPI is not offered; logging in by it is"),
        Without("GSSAPIKexAlgorithms", NOTE, (), "key exchange by GSSAPI is not offered"),
        Without("GSSAPIRenewalForcesRekey", NOTE, _NO, "key exchange by GSSAPI is not offered"),
        Without("LogVerbose", NOTE, ("none",), "it names OpenSSH's own source files; LogLevel does the rest"),
        Without(
            "PKCS11Provider", SAY, ("none",), "no foreign library is loaded; an agent can hold a token's keys"
        ),
        Without("SecurityKeyProvider", NOTE, ("internal",), "security keys are reached in one way only"),
    )
}

#: Keywords that OpenSSH itself ignores by now.
GONE = frozenset(
    (
        "afstokenpassing",
        "cipher",
        "compressionlevel",
        "fallbacktorsh",
        "globalknownhostsfile2",
        "identityfile2",
        "kerberosauthentication",
        "kerberostgtpassing",
        "protocol",
        "rhostsauthentication",
        "rhostsrsaauthentication",
        "rsaauthentication",
        "smartcarddevice",
        "useprivilegedport",
        "userknownhostsfile2",
        "useroaming",
        "usersh",
    )
)
