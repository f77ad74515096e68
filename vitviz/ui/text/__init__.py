"""Everything a user reads in the app, by page. Page code names a sentence and never spells one out."""
