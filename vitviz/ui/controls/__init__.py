"""What several pages share: the frame around a page, pickers, tables, figures with their exports, facts and sentences."""
