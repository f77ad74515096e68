"""Vision models of Hugging Face's transformers, as an optional extra: `pip install "vitviz[transformers]"`.

Nothing here imports transformers before a model of it is asked for.
"""

from vitviz.models.hugging_face.load import describe, load

__all__ = ["describe", "load"]
