"""A simulated market, exchange and OMS, as peers outside of the product.

They know what anybody may know of it, its HTTP API and its subjects on NATS, and share only its connection to NATS.
Read in this order: `market` (or `ticks`), `exchange`, `desks`, `venue` (all of them, no clock and no network), `line`
(what is told and asked; `rest_line`, `bus_line`), `oms`, `execution` (what an emergency stop asks), `peer`.
"""
