"""What sshkit-client asks its user: passwords, passphrases, a server's questions, unknown host keys.

Called by the library's credentials and host key verifier; `prompts` does the asking.  The words of the
questions are ssh's, because people's scripts wait for them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sshkit_keys.text import printable

from sshkit.client.host_keys import HostKeyUnknown
from sshkit.deferred import Deferred

from .prompts import NobodyToAsk

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.client.host_keys import HostKeyVerifier
    from sshkit.client.target import Target

    from .log import Log
    from .prompts import Prompter

#: Times that an answer to the host key question may be none of those that it can be.
MAX_HOST_KEY_ANSWERS = 5


class Questions:
    """All questions of one connection."""

    def __init__(self, target: "Target", prompter: "Prompter", log: "Log") -> None:
        self._target = target
        self._prompter = prompter
        self._log = log
        self._passwords_left = target.options.password_prompts.value
        self.verifier: HostKeyVerifier | None = None

    def for_target(self, target: "Target") -> "Questions":
        """Return the questions of a connection to a host on the way."""
        return Questions(target, self._prompter, self._log)

    def banner(self, text: str) -> None:
        """Show what the server says before the login."""
        self._log.banner(text)

    def warn(self, text: str) -> None:
        """Tell what is wrong and not the end."""
        self._log.info(f"Warning: {text}")

    def debug(self, text: str) -> None:
        """Tell what -v asks for."""
        self._log.debug(text)

    def password(self) -> Deferred[str | None] | None:
        """Ask for the password; None when that was done often enough."""
        if self._passwords_left <= 0:
            return None
        target = self._target
        prompt = f"{printable(target.user)}@{printable(target.hostname)}'s password: "
        if self._passwords_left < target.options.password_prompts.value:
            self._log.info("Permission denied, please try again.")
        self._passwords_left -= 1
        try:
            return self._prompter.ask(prompt).add_callback(self._answered)
        except NobodyToAsk:
            self._passwords_left = 0
            raise

    def _answered(self, answer: str | None) -> str | None:
        """Ask no more where the user gave none."""
        if answer is None:
            self._passwords_left = 0
        return answer

    def change_password(self, prompt: str) -> Deferred[tuple[str, str] | None]:
        """Ask for the password that has run out, and twice for the new one, as ssh does."""
        target = self._target
        if prompt:
            self._log.info(prompt)
        who = f"{printable(target.user)}@{printable(target.hostname)}"

        def ask_new(old: str | None) -> Any:
            if old is None:
                return None
            return self._prompter.ask(f"Enter {who}'s new password: ").add_callback(ask_again, old)

        def ask_again(new: str | None, old: str) -> Any:
            if new is None:
                return None
            return self._prompter.ask(f"Retype {who}'s new password: ").add_callback(compare, old, new)

        def compare(again: str | None, old: str, new: str) -> Any:
            if again == new:
                return old, new
            if again is None:
                return None
            self._log.info("Mismatch; try again, EOF to quit.")
            return ask_new(old)

        asked: Deferred[tuple[str, str] | None] = self._prompter.ask(f"{who}'s old password: ").add_callback(
            ask_new
        )
        return asked

    def confirm(self, text: str) -> Deferred[bool]:
        """Ask for a yes; the end of input is a no."""
        prompt = text if text.endswith(" ") else f"{text} (yes/no): "

        def judge(answer: str | None) -> bool:
            return (answer or "").strip().lower() in ("yes", "y")

        asked: Deferred[bool] = self._prompter.ask(prompt, echo=True, confirm=True).add_callback(judge)
        return asked

    def passphrase(self, path: str) -> Deferred[str | None]:
        """Ask for the passphrase of a key file."""
        return self._prompter.ask(f"Enter passphrase for key '{printable(path, 4096)}': ")

    def answers(
        self, title: str, instruction: str, prompts: Sequence[tuple[str, bool]]
    ) -> Deferred[list[str] | None]:
        """Ask a server's questions, one after the other; who asks is said with each."""
        for text in (title, instruction):
            if text:
                self._log.info(text)
        target = self._target
        who = f"({printable(target.user)}@{printable(target.hostname)}) "
        answers: list[str] = []

        def next_question(answer: str | None) -> Any:
            if answer is None:
                return None
            answers.append(answer)
            if len(answers) == len(prompts):
                return answers
            return ask(*prompts[len(answers)])

        def ask(prompt: str, echo: bool) -> Deferred[list[str] | None]:
            result: Deferred[list[str] | None] = self._prompter.ask(who + prompt, echo=echo).add_callback(
                next_question
            )
            return result

        return ask(*prompts[0])

    def host_key(self, key: "PublicKey", text: str) -> Deferred[bool]:
        """Ask whether an unknown key is the host's: yes, no, or its fingerprint, typed to compare."""
        target = self._target
        fingerprint = key.fingerprint(target.options.fingerprint_hash.value)
        label = key.label
        address = self._address()
        name = printable(target.options.host_key_alias.value or target.original)
        lines = [
            f"The authenticity of host '{name}{f' ({address})' if address else ''}' can't be established.",
            f"{label} key fingerprint is {fingerprint}.",
        ]
        if target.options.visual_host_key.value:
            from sshkit_keys import randomart

            hash_name = target.options.fingerprint_hash.value
            lines.append(randomart(key.blob, f"{label} {key.bits}", hash_name))
        verifier = self.verifier
        if verifier is not None and verifier.dns is not None:
            matching = verifier.published is not None and verifier.published.matches
            lines.append(f"{'Matching' if matching else 'No matching'} host key fingerprint found in DNS.")
        lines += self._known_elsewhere(key)
        question = "Are you sure you want to continue connecting (yes/no/[fingerprint])? "
        prompt = "\n".join([*lines, question])
        left = MAX_HOST_KEY_ANSWERS

        def judge(answer: str | None) -> Any:
            nonlocal left
            word = (answer or "").strip()
            left -= 1
            if word == fingerprint or word.lower() == "yes":
                return True
            if answer is None or word.lower() == "no" or left <= 0:
                return False
            return self._prompter.ask("Please type 'yes', 'no' or the fingerprint: ", echo=True).add_callback(
                judge
            )

        try:
            asked = self._prompter.ask(prompt, echo=True)
        except NobodyToAsk as error:
            raise HostKeyUnknown(
                f"unknown host key {key.key_type} {fingerprint}, and StrictHostKeyChecking=ask: {error}"
            ) from None
        verdict: Deferred[bool] = asked.add_callback(judge)
        return verdict

    def _address(self) -> str:
        """Return the numeric address, where it says something that the name does not."""
        address = self._target.hostname if self.verifier is None else self.verifier.peer_address or ""
        return "" if address in (self._target.original, "") else printable(address)

    def _known_elsewhere(self, key: "PublicKey") -> list[str]:
        """Return lines that tell under which other names the very key is known."""
        if self.verifier is None:
            return []
        entries = self.verifier.known.check(self.verifier.host, self.verifier.port, key).entries
        if not entries:
            return ["This key is not known by any other names."]
        return [
            "This host key is known by the following other names:",
            *(f"    {printable(entry.place, 4096)}: {printable(entry.patterns.text)}" for entry in entries),
        ]
