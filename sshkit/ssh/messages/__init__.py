"""Messages of SSH, declared once, beside the section of their RFC."""
