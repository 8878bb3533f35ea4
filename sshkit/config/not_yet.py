"""ssh_config keywords that exist in OpenSSH and do nothing here yet: what happens to each, in one table.

Called by `ssh_config`.  A keyword whose loss changes nothing that matters is noted under -v.  One whose
loss a user would notice later and wonder about is said aloud.  One whose loss would change security or
where and how one connects ends the command, unless its value is the one that changes nothing.
"""

from typing import Final

NOTE: Final = "note"  #: told under -v
SAY: Final = "say"  #: told, unless -q
REFUSE: Final = "refuse"  #: an error

#: Keyword in lower case -> what happens, and the values (in lower case) that change nothing.
NOT_YET: dict[str, tuple[str, tuple[str, ...]]] = {
    # How the connection comes about: another way would be another meaning.
    "bindinterface": (REFUSE, ()),
    "canonicalizehostname": (REFUSE, ("no", "false")),
    "controlmaster": (REFUSE, ("no", "false", "auto", "autoask")),  # auto only saves time
    "forkafterauthentication": (REFUSE, ("no", "false")),
    "permitlocalcommand": (REFUSE, ("no", "false")),
    "proxycommand": (REFUSE, ("none",)),
    "proxyjump": (REFUSE, ("none",)),
    "proxyusefdpass": (REFUSE, ("no", "false")),
    "tunnel": (REFUSE, ("no", "false")),
    # Forwards: programs would talk to nobody, or to somebody else.
    "dynamicforward": (REFUSE, ()),
    "localforward": (REFUSE, ()),
    "remoteforward": (REFUSE, ()),
    # What narrows trust.
    "requiredrsasize": (REFUSE, tuple(str(size) for size in (0, 768, 1024, 1536, 2048))),
    "revokedhostkeys": (REFUSE, ("none",)),
    # What a user would miss.
    "addkeystoagent": (NOTE, ("no", "false")),
    "forwardagent": (SAY, ("no", "false")),
    "forwardx11": (SAY, ("no", "false")),
    "hostbasedauthentication": (SAY, ("no", "false")),
    "knownhostscommand": (SAY, ("none",)),
    "obscurekeystroketiming": (SAY, ("no", "false")),
    "pkcs11provider": (SAY, ("none",)),
    "verifyhostkeydns": (SAY, ("no", "false")),
    # What changes nothing that matters here.
    "canonicaldomains": (NOTE, ()),
    "canonicalizefallbacklocal": (NOTE, ()),
    "canonicalizemaxdots": (NOTE, ()),
    "canonicalizepermittedcnames": (NOTE, ("none",)),
    "casignaturealgorithms": (NOTE, ()),
    "channeltimeout": (NOTE, ("none",)),
    "checkhostip": (NOTE, ()),
    "connectionattempts": (NOTE, ("1",)),
    "controlpath": (NOTE, ("none",)),
    "controlpersist": (NOTE, ("no", "false")),
    "enableescapecommandline": (NOTE, ("no", "false")),
    "enablesshkeysign": (NOTE, ("no", "false")),
    "exitonforwardfailure": (NOTE, ()),
    "forwardx11timeout": (NOTE, ()),
    "forwardx11trusted": (NOTE, ()),
    "gatewayports": (NOTE, ("no", "false")),
    "gssapiauthentication": (NOTE, ("no", "false")),
    "gssapiclientidentity": (NOTE, ()),
    "gssapidelegatecredentials": (NOTE, ("no", "false")),
    "gssapikexalgorithms": (NOTE, ()),
    "gssapikeyexchange": (NOTE, ("no", "false")),
    "gssapirenewalforcesrekey": (NOTE, ("no", "false")),
    "gssapiserveridentity": (NOTE, ()),
    "gssapitrustdns": (NOTE, ("no", "false")),
    "hostbasedacceptedalgorithms": (NOTE, ()),
    "hostbasedkeytypes": (NOTE, ()),
    "ipqos": (NOTE, ()),
    "kbdinteractivedevices": (NOTE, ()),
    "localcommand": (NOTE, ("none",)),  # PermitLocalCommand decides
    "logverbose": (NOTE, ("none",)),
    "nohostauthenticationforlocalhost": (NOTE, ("no", "false")),
    "permitremoteopen": (NOTE, ("any",)),
    "securitykeyprovider": (NOTE, ("internal",)),
    "streamlocalbindmask": (NOTE, ()),
    "streamlocalbindunlink": (NOTE, ()),
    "syslogfacility": (NOTE, ()),
    "tag": (NOTE, ("none",)),  # only `Match tagged` asks for it, and that is refused
    "tunneldevice": (NOTE, ()),
    "updatehostkeys": (NOTE, ("no", "false")),
    "versionaddendum": (NOTE, ("none",)),
    "warnweakcrypto": (NOTE, ()),
    "xauthlocation": (NOTE, ()),
}

#: Forwards, which ``ClearAllForwardings yes`` takes away.
FORWARDS = frozenset(("dynamicforward", "localforward", "remoteforward"))

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
