-- For the first lane, which numbers the epochs. ARGV: stops (JSON); the epoch expected ('' for any); the
-- least epoch to give; then name and content of each note. Replies {1, the new epoch} or {0, the present one}.
local before = redis.call('HGET', lane .. CONTROL, 'epoch') or '0'
if ARGV[2] ~= '' and before ~= ARGV[2] then
  return { 0, before }
end
-- The clock gives a store that was emptied an epoch above all those it had before.
local epoch = math.max((tonumber(before) or 0) + 1, tonumber(ARGV[3]), tonumber(now_text()))
local text = string.format('%.0f', epoch)
redis.call('HSET', lane .. CONTROL, 'stops', ARGV[1], 'epoch', text)
for i = 4, #ARGV, 2 do
  redis.call('HSET', lane .. STOP_NOTES, ARGV[i], ARGV[i + 1])
end
return { 1, text }
