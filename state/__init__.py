"""The live state: what a check reads and writes, in Redis or, embedded, in memory.

Read in this order: `store` (what every store offers), `keys` (every Redis key), `scripts/` (what Redis does
atomically), `redis_codec` (Load and Commit to and from those scripts), `redis_store` (both doors to them),
`memory_store` with `journal_file`, `driver` (the engine's steps against a store) and `wiring`.
"""
