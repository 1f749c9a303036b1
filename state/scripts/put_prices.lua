-- ARGV[1]: for how many seconds this lane keeps the bars that prices make, 0 where it keeps none. Then for each
-- price its symbol, once, the head of its record (up to the receipt), sent_at_us, and the price in plain digits,
-- empty where it makes no bar; at most 1000 prices. Writes those that were not sent before the one that is there.
-- Replies how many.
local now = now_text()
local seconds = tonumber(string.sub(now, 1, -7))
local minute = string.format('%d000000', seconds - seconds % 60)
local bars = lane .. BARS .. minute
local life = tonumber(ARGV[1])

-- Doubles that differ, differ the same way as the numbers do. Where they do not, the digits tell, compared as text:
-- first the longer whole part, then what comes later in the alphabet.
local function is_above(left, right)
  local double, other_double = tonumber(left), tonumber(right)
  if double and other_double and double ~= other_double then
    return double > other_double
  end
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

-- The bar with one more price, nil where that changes nothing.
local function grown(bar, price)
  local open, high, low, close, first = string.match(bar or '', '^(%S+) (%S+) (%S+) (%S+) (%d+)')
  if price == close then
    return nil
  end
  if not open then
    open, high, low, first = price, price, price, now
  elseif is_above(price, high) then
    high = price
  elseif is_above(low, price) then
    low = price
  end
  return table.concat({ open, high, low, price, first, now }, ' ')
end

local symbols = {}
for i = 2, #ARGV, 4 do
  symbols[#symbols + 1] = ARGV[i]
end
local known = read_fields(lane .. PRICES, symbols)
local known_bars = life > 0 and read_fields(bars, symbols) or {}
local new, new_bars = {}, {}
for i = 1, #symbols do
  local at = 4 * i - 2
  local sent, price = ARGV[at + 2], ARGV[at + 3]
  local before_sent = known[i] and string.match(known[i], ',(%d+)%]$')
  if sent == '0' or not before_sent or tonumber(sent) >= tonumber(before_sent) then
    new[#new + 1] = symbols[i]
    new[#new + 1] = ARGV[at + 1] .. now .. ',' .. sent .. ']'
    local bar = life > 0 and price ~= '' and grown(known_bars[i], price)
    if bar then
      new_bars[#new_bars + 1] = symbols[i]
      new_bars[#new_bars + 1] = bar
    end
  end
end
if #new > 0 then
  redis.call('HSET', lane .. PRICES, unpack(new))
end
if #new_bars > 0 then
  redis.call('HSET', bars, unpack(new_bars))
  if redis.call('HSET', lane .. BAR_MINUTES, minute, redis.call('HLEN', bars)) == 1 then
    redis.call('EXPIRE', bars, life)
  end
end
return #new / 2
