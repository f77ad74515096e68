"""Text from outside (labels, names, addresses, messages) made safe for Streamlit's Markdown.

`escaped` is the one function for it. It belongs around every such text that goes into markdown, captions, messages, headings,
help, the names of widgets and of metrics. Options of a select box, tables and `alt` are plain text and take it as it is; HTML
takes `html.escape`.
"""

from __future__ import annotations

import re

# Marks of Markdown, of Streamlit's directives (":red[...]") and of LaTeX ("$x$"). An underscore inside a word is none.
_MARKS = re.compile(r"[\\`*\[\]<$~|]|(?<![^\W_])_|_(?![^\W_])|:(?=[\w\-]+\[)|&(?=#?\w+;)")
# At the start of the text, which may be the start of a line: headings, lists, and lines below a title.
_START = re.compile(r"^(\d{1,9}(?=[.)]))?([#+\-=.)>])")
# What Streamlit replaces after Markdown was read, where a backslash has no effect: ":material/home:", ":smile:", addresses,
# and arrows. A word joiner, which has no width, parts them.
_JOINER = "\N{WORD JOINER}"
_LATER = re.compile(
    r":(?=(?:\w+/)?[\w+\-]+:)|(?<=http):(?=//)|(?<=https):(?=//)|(?<=www)(?=\.)|(?<=[-.\w+])@(?=[\w\-]+\.)"
    r"|(?<!\S)(?:<(?=->?(?!\S))|-(?=[>\-](?!\S))|[<>~](?==(?!\S)))",
    re.IGNORECASE,
)


def escaped(text: object) -> str:
    """The text as Markdown that shows it letter by letter, on one line.

    Word joiners stand where Streamlit would otherwise make an icon, a link or an arrow of it.
    """
    line = " ".join(str(text).split())
    line = _LATER.sub(lambda found: found[0] + _JOINER, line)
    line = _MARKS.sub(lambda found: "\\" + found[0], line)
    return _START.sub(lambda found: f"{found[1] or ''}\\{found[2]}", line)
