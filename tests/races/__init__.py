"""Many clients at once, over real connections and both HTTP doors, on Redis and on memory."""
