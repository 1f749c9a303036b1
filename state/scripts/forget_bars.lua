-- ARGV: the start of a minute, then for each of its bars the symbol and the record that may be forgotten.
-- A bar that has grown since it was read stays. Where none is left, the minute is forgotten as well.
local bars = lane .. BARS .. ARGV[1]
for i = 2, #ARGV, 2 do
  if redis.call('HGET', bars, ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', bars, ARGV[i])
  end
end
if redis.call('HLEN', bars) == 0 then
  redis.call('HDEL', lane .. BAR_MINUTES, ARGV[1])
end
return 1
