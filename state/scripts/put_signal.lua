-- ARGV: the fencing token of whoever writes; the risk level; whether action is required (true or false). Writes the
-- signal with the time, unless a later token has written one. Replies 1 or 0.
local before = redis.call('GET', lane .. SIGNAL)
local token = before and tonumber(string.match(before, '^%d+'))
if token and token > tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', lane .. SIGNAL, ARGV[1] .. '\n["' .. ARGV[2] .. '",' .. ARGV[3] .. ',' .. now_text() .. ']')
return 1
