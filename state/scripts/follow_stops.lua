-- For the other lanes. ARGV: stops (JSON); the epoch that the first lane gave them. Later ones are left
-- alone. Where the first lane has lost other stops ('lost'), nothing is approved here until it is restored. Replies the
-- epoch that the lane now has, and when it did.
if ARGV[3] == 'lost' then
  redis.call('HDEL', lane .. CONTROL, 'generation')
end
local before = redis.call('HGET', lane .. CONTROL, 'epoch')
if before and (tonumber(before) or 0) >= tonumber(ARGV[2]) then
  return { before, now_text() }
end
redis.call('HSET', lane .. CONTROL, 'stops', ARGV[1], 'epoch', ARGV[2])
return { ARGV[2], now_text() }
