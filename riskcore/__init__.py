"""The arithmetic and the rules of risk control: no Django, no I/O, no clock, no settings.

Read in this order: `types` (the words), `book` (what officers published), `ports` (what a store must
offer), `simulate` (the account with this order and every open order), `metrics` (one function a formula),
`limits` (a policy against a metric), `gates` (the ordered list), `decide` (one order, one decision) and
`engine` (the steps of a check, which a door drives).
"""
