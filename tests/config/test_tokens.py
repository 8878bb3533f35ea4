"""Tokens, variables and the home directory in values."""

from hashlib import sha1

import pytest

from sshkit.config.parser import ConfigError, Place
from sshkit.config.tokens import Facts, Tokens, expand_environment, expand_home

HERE = Place("f", 1)
FACTS = Facts("/home/me", "me", 1000, "box.example", {"NAME": "value", "EMPTY": ""})


def tokens(original: str = "h", hostname: str = "h.example", user: str = "you", alias: str = "") -> Tokens:
    return Tokens(FACTS, original, hostname, 2222, user, alias)


def test_each_token_stands_for_what_ssh_says() -> None:
    text = tokens().expand("%% %d %h %i %k %L %l %n %p %r %u %j", HERE, "%dhikLlnpruj")
    assert text == "% /home/me h.example 1000 h box box.example h 2222 you me "
    assert tokens(alias="other").expand("%k", HERE) == "other"
    assert tokens().expand("plain", HERE) == "plain"


def test_the_connection_hash_is_made_of_what_ssh_makes_it_of() -> None:
    expected = sha1(b"box.exampleh.example2222you", usedforsecurity=False).hexdigest()
    assert tokens().expand("x-%C", HERE) == f"x-{expected}"


@pytest.mark.parametrize(
    ("text", "cause"), [("%z", "unknown token %z"), ("a%", "without a letter"), ("%\x1b", "x1b")]
)
def test_an_unknown_token_is_an_error(text: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=f"f:1: .*{cause}"):
        tokens().expand(text, HERE)


@pytest.mark.parametrize("user", ["a/../b", "a;b", "a b", "$(x)", "-x", "a`b"])
def test_r11_a_user_name_with_a_meta_character_is_not_put_into_a_path(user: str) -> None:
    with pytest.raises(ConfigError, match="not safe to insert"):
        tokens(user=user).expand("/keys/%r", HERE)


@pytest.mark.parametrize("host", ["../../etc", "a'b", "h|x", "-oProxyCommand=x"])
def test_r39_a_host_with_a_meta_character_is_not_put_into_a_command(host: str) -> None:
    with pytest.raises(ConfigError, match="not safe to insert"):
        tokens(original=host).expand("run %n", HERE)


def test_a_path_has_home_variables_and_tokens_replaced() -> None:
    assert tokens().expand_path("~/.ssh/${NAME}/%r", HERE) == "/home/me/.ssh/value/you"
    assert expand_home("~", "/home/me") == "/home/me/"
    assert expand_home("/a/~", "/home/me") == "/a/~"
    assert expand_home("~root/x", "/home/me").endswith("/x")
    assert not expand_home("~root/x", "/home/me").startswith("~")


@pytest.mark.parametrize(
    ("text", "expanded"), [("${NAME}${EMPTY}x${NAME}", "valuexvalue"), ("$NAME", "$NAME"), ("", "")]
)
def test_variables_are_replaced(text: str, expanded: str) -> None:
    assert expand_environment(text, FACTS.environment, HERE) == expanded


@pytest.mark.parametrize(("text", "cause"), [("${NONE}", "not set"), ("${NAME", "without its")])
def test_a_variable_that_is_not_there_is_an_error(text: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        expand_environment(text, FACTS.environment, HERE)
