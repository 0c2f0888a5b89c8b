"""One file for each figure, one style, drawn from stored results only.

A figure's row in the registry says what it shows, from which files, by which module;
matplotlib is imported when a figure is drawn. May read results, tables' cells and data.

Public: `registry.FIGURES`, `style`.
"""
