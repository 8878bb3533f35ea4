"""Writes the tables of the documentation that come from the code: ``python docs/generate.py``.

A page has ``<!-- table: NAME -->`` and ``<!-- end -->`` around each; a test compares pages and code.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def client_keywords() -> str:
    """Return the table of ssh_config's keywords that are obeyed."""
    from sshkit.config.client_keywords import KEYWORDS, LISTS
    from sshkit.config.client_options import ClientOptions
    from sshkit.config.shown import shown_value

    defaults = ClientOptions()
    rows = {
        keyword.spelled: (shown_value(word, getattr(defaults, keyword.attribute).value), keyword.meaning)
        for word, keyword in KEYWORDS.items()
    }
    rows |= {listed.spelled: ("", listed.meaning) for listed in LISTS.values()}
    lines = ["| keyword | default | what it does |", "| --- | --- | --- |"]
    for name in sorted(rows, key=str.lower):
        default, meaning = rows[name]
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |")
    return "\n".join(lines) + "\n"


def client_without_effect() -> str:
    """Return the table of ssh_config's keywords that change nothing here."""
    from sshkit.config.without_effect import SAY, WITHOUT_EFFECT

    lines = ["| keyword | told | why |", "| --- | --- | --- |"]
    for without in sorted(WITHOUT_EFFECT.values(), key=lambda entry: entry.spelled.lower()):
        told = "a warning" if without.outcome == SAY else "with `-v`"
        lines.append(f"| `{without.spelled}` | {told} | {without.reason} |")
    return "\n".join(lines) + "\n"


def server_keywords() -> str:
    """Return the table of sshd_config's keywords."""
    from sshkit.config.algorithm_names import CATEGORIES
    from sshkit.config.sshd_keywords import BLOCK, KEYWORDS
    from sshkit.config.sshd_meanings import MEANINGS
    from sshkit.config.sshd_shown import shown_values

    unsaid = {"listenaddress", *(name.lower() for name in CATEGORIES)}  # nothing set means all, or our lists
    lines = ["| keyword | default | in blocks | what it does |", "| --- | --- | --- | --- |"]
    for word in sorted(KEYWORDS):
        keyword = KEYWORDS[word]
        default = "" if word in unsaid else " ".join(shown_values(word, keyword.default))
        allowed = "yes" if keyword.flags & BLOCK else ""
        shown = f"`{default}`" if default else ""
        lines.append(f"| `{keyword.spelled}` | {shown} | {allowed} | {MEANINGS[word]} |")
    return "\n".join(lines) + "\n"


def server_defaults() -> str:
    """Return the table of defaults that are not sshd's."""
    from sshkit.config.sshd_keywords import KEYWORDS, OWN_DEFAULTS
    from sshkit.config.sshd_meanings import DEVIATIONS
    from sshkit.config.sshd_shown import shown_values

    lines = ["| keyword | sshd | here | where | why |", "| --- | --- | --- | --- | --- |"]
    for name, (theirs, whose, why) in DEVIATIONS.items():
        keyword = KEYWORDS[name.lower()]
        own = whose == "own"
        value = OWN_DEFAULTS[keyword.attribute] if own else keyword.default
        ours = " ".join(shown_values(name.lower(), value)) or "none"
        where = "without root" if own else "everywhere"
        lines.append(f"| `{name}` | {theirs} | `{ours}` | {where} | {why} |")
    return "\n".join(lines) + "\n"


def server_without_effect() -> str:
    """Return the table of sshd_config's keywords that change nothing here."""
    from sshkit.config.sshd_without_effect import WITHOUT_EFFECT

    lines = ["| keyword | why |", "| --- | --- |"]
    for without in sorted(WITHOUT_EFFECT.values(), key=lambda entry: entry.spelled.lower()):
        lines.append(f"| `{without.spelled}` | {without.reason} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[], str]] = {
    "client-keywords": client_keywords,
    "client-without-effect": client_without_effect,
    "server-defaults": server_defaults,
    "server-keywords": server_keywords,
    "server-without-effect": server_without_effect,
}


def generated(text: str) -> str:
    """Return a page with its tables as the code has them."""

    def replace(match: re.Match[str]) -> str:
        return f"{match[1]}{TABLES[match[2]]()}{match[3]}"

    return MARKED.sub(replace, text)


def main() -> int:
    for page in sorted(ROOT.glob("**/*.md")):
        text = page.read_text()
        if (new := generated(text)) != text:
            page.write_text(new)
            sys.stdout.write(f"written: {page.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
