-- ARGV: for each price its symbol, the head of its record (up to the receipt) and sent_at_us.
-- Writes those that were not sent before the one that is there. Replies how many.
local now = now_text()
local written = 0
for i = 1, #ARGV, 3 do
  local sent = ARGV[i + 2]
  local before = redis.call('HGET', lane .. PRICES, ARGV[i])
  local before_sent = before and string.match(before, ',(%d+)%]$')
  if sent == '0' or not before_sent or tonumber(sent) >= tonumber(before_sent) then
    redis.call('HSET', lane .. PRICES, ARGV[i], ARGV[i + 1] .. now .. ',' .. sent .. ']')
    written = written + 1
  end
end
return written
