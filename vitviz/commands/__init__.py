"""The commands of `python -m vitviz`, one module each: add_parser(subparsers) says its options, run(arguments) does it."""
