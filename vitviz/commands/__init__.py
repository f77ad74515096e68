"""The commands of `vitviz`, one module each: add_parser(subparsers) defines its options, run(arguments) runs it."""
