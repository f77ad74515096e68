"""The app as a service: the operator's settings, protection of a public address, and monitoring."""
