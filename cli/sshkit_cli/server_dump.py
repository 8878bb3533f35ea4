"""`sshkit-server -T` and `-G`: the configuration in force, a line a value, as `sshd -T` writes it.

Called by `server`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sshkit_keys.text import printable

from sshkit.config.algorithm_names import CATEGORIES, usable_list
from sshkit.config.parser import Place, Setting
from sshkit.config.sshd_config import ServerOptions
from sshkit.config.sshd_keywords import KEYWORDS
from sshkit.config.sshd_shown import shown_values
from sshkit.ssh.algorithms import SERVER_DEFAULT, known_names
from sshkit_cli.server_options import Options

#: The order in which sshd prints keywords; others follow by name.
_ORDER = """
    port addressfamily listenaddress usepam pamservicename logingracetime x11displayoffset maxauthtries
    maxsessions clientaliveinterval clientalivecountmax requiredrsasize streamlocalbindmask
    unusedconnectiontimeout permitrootlogin ignorerhosts ignoreuserknownhosts hostbasedauthentication
    hostbasedusesnamefrompacketonly pubkeyauthentication kerberosauthentication kerberosorlocalpasswd
    kerberosticketcleanup gssapiauthentication gssapicleanupcredentials gssapikeyexchange
    gssapistrictacceptorcheck gssapistorecredentialsonrekey gssapikexalgorithms passwordauthentication
    kbdinteractiveauthentication printmotd printlastlog x11forwarding x11uselocalhost permittty
    permituserrc strictmodes tcpkeepalive permitemptypasswords compression gatewayports usedns
    allowtcpforwarding allowagentforwarding disableforwarding allowstreamlocalforwarding
    streamlocalbindunlink fingerprinthash exposeauthinfo refuseconnection debianbanner pidfile
    modulifile xauthlocation ciphers macs banner forcecommand chrootdirectory trustedusercakeys
    revokedkeys securitykeyprovider authorizedprincipalsfile versionaddendum authorizedkeyscommand
    authorizedkeyscommanduser authorizedprincipalscommand authorizedprincipalscommanduser hostkeyagent
    kexalgorithms casignaturealgorithms hostbasedacceptedalgorithms hostkeyalgorithms
    pubkeyacceptedalgorithms sshdsessionpath sshdauthpath persourcepenaltyexemptlist loglevel
    syslogfacility authorizedkeysfile hostkey hostcertificate allowusers denyusers allowgroups
    denygroups acceptenv setenv authenticationmethods logverbose channeltimeout subsystem maxstartups
    persourcemaxstartups persourcenetblocksize permittunnel ipqos rekeylimit permitopen permitlisten
    permituserenvironment pubkeyauthoptions persourcepenalties
"""
ORDER = tuple(_ORDER.split())
#: Keywords that an sshd may not know, so that they are printed only where a line set them.
UNUSUAL = frozenset(KEYWORDS) - frozenset(ORDER)
#: Keyword in lower case -> the same as people write it.
ALGORITHMS = {keyword.lower(): keyword for keyword in CATEGORIES}


class Shown(NamedTuple):
    """A line, and what set it."""

    text: str
    place: Place


def dumped(options: Options, configuration: ServerOptions) -> str:
    """Return what -T and -G print: for the connection of -C, with places if -v was given."""
    effective = configuration.for_connection(options.connection)
    lines = list(effective_settings(effective))
    if not options.verbose:
        return "\n".join(line.text for line in lines)
    width = min(max(len(line.text) for line in lines), 40)
    return "\n".join(f"{line.text:{width}}  # {line.place}" for line in lines)


def effective_lines(options: ServerOptions) -> Iterator[str]:
    """Yield the lines."""
    for line in effective_settings(options):
        yield line.text


def effective_settings(options: ServerOptions) -> Iterator[Shown]:
    """Yield the lines with their places."""
    for keyword in (*ORDER, *sorted(UNUSUAL)):
        setting: Setting[object] = getattr(options, KEYWORDS[keyword].attribute)
        if keyword in UNUSUAL and setting.is_default:
            continue
        if keyword == "listenaddress":
            values = list(_addresses(options))
        elif keyword in ALGORITHMS:
            values = [_algorithm_names(ALGORITHMS[keyword], getattr(options, KEYWORDS[keyword].attribute))]
        else:
            values = shown_values(keyword, setting.value)
        for value in values:
            yield Shown(f"{keyword} {value}", setting.place)


def _addresses(options: ServerOptions) -> Iterator[str]:
    """Yield the places to listen at; every address is two of them, as in sshd."""
    family = options.address_family.value
    for host, port, _ in options.listen_places():
        if host:
            host = printable(host)
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            continue
        if family != "inet":
            yield f"[::]:{port}"
        if family != "inet6":
            yield f"0.0.0.0:{port}"


def _algorithm_names(spelled: str, setting: Setting[str | None]) -> str:
    """Return the list that is offered: what OpenSSH has and sshkit has not is left out."""
    category = CATEGORIES[spelled]
    text, _ = usable_list(spelled, setting, known_names(category))
    entries = getattr(SERVER_DEFAULT.edited(**{category: text}), category)
    return ",".join(entry if isinstance(entry, str) else entry.name for entry in entries)
