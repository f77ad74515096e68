"""Words of the page that asks for a class's word."""

TITLE = "vitviz"
LABEL = "Class code"
BUTTON = "Open"
WANTED = "a class code is asked for here"
WRONG = "That is not the class code. Ask whoever gave you the address."
TOO_OFTEN = "There were too many wrong codes. Try again in ten minutes."
