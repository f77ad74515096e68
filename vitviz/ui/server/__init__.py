"""The app as a service: what its operator may set, what guards it on the web, and what it tells of itself."""
