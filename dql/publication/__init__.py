"""What a reader receives: the results page, and one bundle to send or to archive.

Shows what the other packages made; judges, draws and trains nothing.

Public: `page.write_page`, `bundle.write_bundle`.
"""
