"""The teaching forms: each classic way to keep data apart, naive and mended side by side in one module.

A naive form is wrong on purpose, in the one way that its docstring names; the
mended form beside it differs in as little as mends that. The tour shows and runs
them, the hazard shared-stack runs one pair, and tests must catch each naive one.
Nothing else may be built on them: the library's own :class:`greenlane.context.Local`
and its family are the whole thing.

Each module runs in a monkey-patched process and in one that is not: what has to
be native (a thread, its ident, its locals) is asked for by name in
:mod:`greenlane.demo.forms.native`.
"""
