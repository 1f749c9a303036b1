"""Measures riskportal: order checks under load beside a floor, and where their time goes (docs/performance.md).

    python -m bench [--quick] [--only NAME] [--markdown] [--json FILE]

Read in this order: `__main__` (what is measured, in what order), `installation` (riskportal on private servers),
`world` (accounts, positions and limits), `doors` (the servers that are measured), `wrk` and `open_loop` (the load).
"""
