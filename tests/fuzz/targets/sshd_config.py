"""sshd_config(5): every mistake of a file, and what holds for one client."""

from unittest import mock

from sshkit.config.sshd_config import MatchFacts, read_server_config
from sshkit.config.sshd_keywords import KEYWORDS
from sshkit.config.sshd_shown import shown_values
from tests.fuzz.targets import disk

CLIENT = MatchFacts("user", "host", "10.1.2.3", "::1", 22, "", ("group",), True)


def parse(data: bytes) -> None:
    with mock.patch("glob.glob", disk.include_only_the_file):
        options = read_server_config(disk.written(data), (), None)
    for shown in (options, options.for_connection(CLIENT)):
        for keyword, known in KEYWORDS.items():
            for text in shown_values(keyword, getattr(shown, known.attribute).value):
                assert text.isprintable(), repr(text)
    for error in options.errors:
        assert str(error).isprintable(), repr(str(error))
    if options.errors:
        raise options.errors[0]
