"""Recording the attention of an unmodified model, and the trace that a pass leaves. torch only."""
