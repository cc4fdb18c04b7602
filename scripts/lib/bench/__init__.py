"""The parts of scripts/bench, one file for each thing it deals with.

    database    a private PostgreSQL with LiteLLM's schema, and what is read of it
    tenant      the generated Entra tenant, and the changes made to it
    passes      one pass of entra-sync, measured
    minimum     the least resource units with which a pass could do
    scenario    the passes over one tenant, in their order
    machine     what the figures were measured on
    table       rows as text

`scenario` uses the others; none of the others knows it, nor what was asked for
on the command line. None of them judges a figure.
"""
