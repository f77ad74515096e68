"""Texts that several pages share, and the tags of texts. Texts of one page are in the `text.py` of its folder."""
