-- ARGV[1]: for how many seconds this lane keeps the bars that prices make, 0 where it keeps none. Then for each
-- price its symbol, the head of its record (up to the receipt), sent_at_us, and the price in plain digits, empty
-- where it makes no bar. Writes those that were not sent before the one that is there. Replies how many.
local now = now_text()
local seconds = tonumber(string.sub(now, 1, -7))
local minute = string.format('%d000000', seconds - seconds % 60)
local bars = lane .. BARS .. minute
local life = tonumber(ARGV[1])

-- Numbers in digits compare as text: first the longer whole part, then what comes first in the alphabet.
local function is_above(left, right)
  local whole, rest = string.match(left, '^(%d*)%.?(%d*)')
  local other_whole, other_rest = string.match(right, '^(%d*)%.?(%d*)')
  if #whole ~= #other_whole then
    return #whole > #other_whole
  end
  if whole ~= other_whole then
    return whole > other_whole
  end
  return rest > other_rest
end

-- Takes a price into the bar of its symbol. Returns whether that has changed.
local function grow(symbol, price)
  local bar = redis.call('HGET', bars, symbol)
  local open, high, low, close, first = string.match(bar or '', '^(%S+) (%S+) (%S+) (%S+) (%d+)')
  if price == close then
    return false
  end
  if not open then
    open, high, low, first = price, price, price, now
  elseif is_above(price, high) then
    high = price
  elseif is_above(low, price) then
    low = price
  end
  redis.call('HSET', bars, symbol, table.concat({ open, high, low, price, first, now }, ' '))
  return true
end

local written = 0
local grown = false
for i = 2, #ARGV, 4 do
  local sent = ARGV[i + 2]
  local before = redis.call('HGET', lane .. PRICES, ARGV[i])
  local before_sent = before and string.match(before, ',(%d+)%]$')
  if sent == '0' or not before_sent or tonumber(sent) >= tonumber(before_sent) then
    redis.call('HSET', lane .. PRICES, ARGV[i], ARGV[i + 1] .. now .. ',' .. sent .. ']')
    written = written + 1
    if life > 0 and ARGV[i + 3] ~= '' then
      grown = grow(ARGV[i], ARGV[i + 3]) or grown
    end
  end
end
if grown and redis.call('HSET', lane .. BAR_MINUTES, minute, redis.call('HLEN', bars)) == 1 then
  redis.call('EXPIRE', bars, life)
end
return written
