"""The colours of Python source while it is typed: a lexer that is never surprised by what is unfinished.

Called by console_application for each change of the text.  Regular expressions, since `tokenize` gives up
at the first string that is still open; pygments is not needed.
"""

import builtins
import keyword
import re
from collections.abc import Callable

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

MAX_LEXED = 50_000  #: characters; longer inputs are shown without colours, so that a key's echo is not late

_TOKENS = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<string>(?i:[rbuft]{0,2})(?:\"\"\"(?:\\.|(?!\"\"\").)*(?:\"\"\"|\Z)"
    r"|'''(?:\\.|(?!''').)*(?:'''|\Z)"
    r"|\"(?:\\.|[^\"\\\n])*(?:\"|(?=\n)|\Z)|'(?:\\.|[^'\\\n])*(?:'|(?=\n)|\Z)))"
    r"|(?P<number>(?:0[xXbBoO][0-9a-fA-F_]+|(?:\d[\d_]*)?\.?\d[\d_]*(?:[eE][+-]?\d+)?[jJ]?))"
    r"|(?P<decorator>(?m:^)[ \t]*@[\w.]+)"
    r"|(?P<magic>\A%\w+)"
    r"|(?P<word>[^\W\d]\w*)",
    re.DOTALL,
)
_KEYWORDS = frozenset(keyword.kwlist) - {"None", "True", "False"}
_CONSTANTS = frozenset({"None", "True", "False", "self", "cls"})
_BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_"))
_SOFT = frozenset({"match", "case", "type"})


def lex(source: str) -> StyleAndTextTuples:
    """Return styles and texts that together are `source`."""
    if len(source) > MAX_LEXED:
        return [("", source)]
    fragments: StyleAndTextTuples = []
    end = 0
    after = ""
    for found in _TOKENS.finditer(source):
        if not found.group():
            continue
        if found.start() > end:
            fragments.append(("", source[end : found.start()]))
        kind = found.lastgroup or ""
        text = found.group()
        if kind == "word":
            kind = _kind_of(text, after, source[found.end() : found.end() + 2])
            after = text
        fragments.append((f"class:python.{kind}" if kind else "", text))
        end = found.end()
    fragments.append(("", source[end:]))
    return fragments


def _kind_of(word: str, after: str, follows: str) -> str:
    if word in _KEYWORDS:
        return "keyword"
    if word in _SOFT and not after and follows[:1] == " " and follows[1:2].isidentifier():
        return "keyword"
    if after in ("def", "class"):
        return "definition"
    if word in _CONSTANTS:
        return "constant"
    return "builtin" if word in _BUILTINS else ""


class PythonLexer(Lexer):
    """`lex`, line by line."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Return a function that gives the fragments of a line."""
        lines: list[StyleAndTextTuples] = [[]]
        for fragment in lex(document.text):
            head, *rest = fragment[1].split("\n")
            lines[-1].append((fragment[0], head))
            for line in rest:
                lines.append([(fragment[0], line)])
        return lambda number: lines[number] if number < len(lines) else []
