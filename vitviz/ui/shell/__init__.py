"""What stands around every page: the script, start, sidebar, navigation, prediction bar, errors and styles."""
