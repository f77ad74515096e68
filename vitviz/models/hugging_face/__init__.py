"""Vision models of Hugging Face's transformers, as an optional extra: `pip install "vitviz[transformers]"`.

transformers is imported when one of its models is requested, and not before.
"""

from vitviz.models.hugging_face.load import describe, load

__all__ = ["describe", "load"]
