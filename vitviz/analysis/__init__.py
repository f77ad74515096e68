"""Pure functions of a trace: what can be computed from attention, positions and patches."""
