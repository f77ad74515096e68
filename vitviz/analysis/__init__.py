"""Functions of a trace, a model or a question: attention maps, rollout, positions, prediction, explanations."""
