"""What a caller can ask for. ``table.py`` is the one list; everything that names operations is derived from it.

An operation is a request Struct (its fields, limits and ``perform``), a reply Struct, and a row. To add one: write the
two Structs in the module of its group, add the row, and give the adapters the method that ``perform`` calls.
"""
