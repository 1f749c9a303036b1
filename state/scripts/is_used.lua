-- Replies whether anything was ever written in a lane, 1 or more where it was.
return redis.call('EXISTS', lane .. JOURNAL, lane .. ACCOUNTS, lane .. CONTROL)
