-- ARGV: the name of a part of the firm; the fencing token of whoever writes; what it comes to. Writes it with the time,
-- unless a later token has written that part. Replies 1 or 0.
local key = lane .. FIRM_PARTS
local before = redis.call('HGET', key, ARGV[1])
local token = before and tonumber(string.match(before, '^%d+'))
if token and token > tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', key, ARGV[1], ARGV[2] .. '\n' .. now_text() .. '\n' .. ARGV[3])
return 1
