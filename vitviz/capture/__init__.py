"""Records the attention of an unmodified model's forward pass as a trace. torch only."""
