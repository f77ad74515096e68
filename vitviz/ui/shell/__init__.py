"""The script of the app and what surrounds every page: start, middleware, sidebar, prediction bar, presenter view, styles."""
