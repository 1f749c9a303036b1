-- ARGV: how many lanes there are; a name for the claim. Takes the generation from a control of another number, and
-- with it its life; its stops stay. Replies the name of the claim: the one that stands if it is of this number.
if redis.call('TYPE', lane .. CONTROL).ok ~= 'hash' then
  redis.call('DEL', lane .. CONTROL)
end
local control = read_control()
if control[1] and control[5] ~= ARGV[1] then
  redis.call('HDEL', lane .. CONTROL, 'generation')
end
local claim = ARGV[1] .. ':' .. ARGV[2]
local before = redis.call('HGET', lane .. CONTROL, 'claim')
if before and string.match(before, '^%d+') == ARGV[1] then
  return before
end
redis.call('HSET', lane .. CONTROL, 'claim', claim)
return claim
