"""The parts of scripts/soak.

    daemon      a running daemon, and what it tells of itself
    schedule    a day of its schedule
    port        passes while requests come in
    requests    the process that sends them

They use the parts of scripts/bench for server and tenant. None judges a figure.
"""
