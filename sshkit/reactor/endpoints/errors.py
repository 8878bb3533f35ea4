"""What can be wrong with an endpoint before anything is connected."""

from sshkit_keys.errors import SSHKitError

from ..text import shown


class EndpointError(SSHKitError):
    """The text of an endpoint cannot be used; `position` is where in the text, counted from 0."""

    def __init__(self, message: str, text: str = "", position: int = 0) -> None:
        place = f"{shown(without_secrets(text))!r}, character {position + 1}: " if text else ""
        super().__init__(place + message)
        self.position = position


def without_secrets(text: str) -> str:
    """Return the text of an endpoint with the values of passwords left out."""
    if "password" not in text:
        return text
    from re import sub

    return sub(r"(password\s*=)(\\.|[^:\\])*", r"\1***", text)
