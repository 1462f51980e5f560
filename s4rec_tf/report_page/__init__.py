"""Pages of tables and figures: HTML in one file that needs no network, or Markdown."""
