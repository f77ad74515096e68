"""What several pages share: a page's frame, navigation, pickers, tables, figures with exports, captions, messages of errors."""
