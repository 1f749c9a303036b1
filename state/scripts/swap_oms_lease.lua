-- ARGV: who holds it; what is expected there, empty: nothing; what takes its place, empty: nothing. Replies 1, or 0 where
-- something else is there.
local key = lane .. OMS_LEASES
if (redis.call('HGET', key, ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', key, ARGV[1])
else
  redis.call('HSET', key, ARGV[1], ARGV[3])
end
return 1
