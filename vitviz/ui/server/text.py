"""Words of the page that asks for a class's word."""

from __future__ import annotations

from vitviz.ui.text.sentences import instruction

TITLE = instruction("vitviz")
LABEL = instruction("Class code")
BUTTON = instruction("Open")
WANTED = instruction("a class code is asked for here")
WRONG = instruction("That is not the class code. Ask whoever gave you the address.")
TOO_OFTEN = instruction("There were too many wrong codes. Try again in ten minutes.")
