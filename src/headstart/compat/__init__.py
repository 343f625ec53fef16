"""Every use of a private attribute or internal module of another library, behind a named function.

One file holds one area of one library; a library with several files has a folder. Each function says in its docstring
what it relies on, and a test in tests/compat says whether that holds, and which versions were tried. Nowhere else does
the package use what is private elsewhere (tests/compat/test_private_use.py).
"""
