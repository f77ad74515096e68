"""The app's server: sessions, payloads, uploads, the operator's settings, protection of a public address, monitoring."""
