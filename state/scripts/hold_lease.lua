-- ARGV: what is leased; who wants it; for how long, in us. Replies the holder's fencing token, or 0 where another holds it.
-- Each time it changes hands, or was let run out, the token is a greater one: the clock keeps it so when the key is lost.
local key = lane .. LEASE .. ARGV[1]
local now = tonumber(now_text())
local kept = redis.call('HMGET', key, 'holder', 'token', 'until')
local token = tonumber(kept[2] or '0')
local runs = kept[3] and tonumber(kept[3]) > now
if runs and kept[1] ~= ARGV[2] then
  return 0
end
if not runs then
  token = math.max(token + 1, now)
end
redis.call('HSET', key, 'holder', ARGV[2], 'token', string.format('%.0f', token), 'until',
  string.format('%.0f', now + tonumber(ARGV[3])))
return string.format('%.0f', token)
