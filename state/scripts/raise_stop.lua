-- For the first lane, which numbers the epochs. ARGV: a stop (JSON), its id and its note; the stops (JSON) of which one
-- that is the same but for its id is enough; the ids (JSON) of those that are not. Replies the epoch and the stops
-- after it, when they were, and 1 where those before it were lost.
local enough, ignored = cjson.decode(ARGV[4]), {}
for _, id in ipairs(cjson.decode(ARGV[5])) do
  ignored[id] = true
end

local function is_enough(stop)
  for _, other in ipairs(enough) do
    if stop.scope == other.scope and stop.scope_id == other.scope_id and stop.state == other.state
      and stop.unwind == other.unwind and not ignored[stop.id] then
      return true
    end
  end
  return false
end

-- The stops in a list of them, nil where it is none.
local function read_stops(text)
  local is_json, found = pcall(cjson.decode, text or '')
  if not is_json or not string.find(text, '^%[.*%]$') then
    return nil
  end
  for _, stop in ipairs(found) do
    if type(stop) ~= 'table' then
      return nil
    end
  end
  return found
end

local fields = redis.call('HMGET', lane .. CONTROL, 'epoch', 'stops')
local before, stops = fields[1] or '0', fields[2]
local found = read_stops(stops)
local lost = found and 0 or 1
if not found then
  -- Any stop may have been in it: without a generation nothing is approved until it is restored.
  redis.call('HDEL', lane .. CONTROL, 'generation')
  found = {}
end
for _, stop in ipairs(found) do
  if stop.id == ARGV[2] or is_enough(stop) then
    return { before, stops, now_text(), lost }
  end
end
stops = (#found == 0 and '[' or string.sub(stops, 1, -2) .. ',') .. ARGV[1] .. ']'
-- The clock gives a store that was emptied an epoch above all those it had before.
local epoch = string.format('%.0f', math.max((tonumber(before) or 0) + 1, tonumber(now_text())))
redis.call('HSET', lane .. CONTROL, 'stops', stops, 'epoch', epoch)
redis.call('HSET', lane .. STOP_NOTES, ARGV[2], ARGV[3])
return { epoch, stops, now_text(), lost }
