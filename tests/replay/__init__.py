"""A recorded market, replayed through the doors, and an independent proof that every limit held.

Read in this order: `capture` (the recording), `desks` (the OMS that trades it), `rules` (limits that bind),
`session` (the replay), `records` (what riskportal kept), `proof` (written from the specification alone).
"""
