"""What is shared by all pages: the script, start, sidebar, navigation, prediction bar, errors and styles."""
