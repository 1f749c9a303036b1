-- ARGV: the version of the book to make current, if it is newer. Replies the version that now is.
local before = redis.call('HGET', lane .. CONTROL, 'book')
if before and (tonumber(before) or 0) >= tonumber(ARGV[1]) then
  return before
end
redis.call('HSET', lane .. CONTROL, 'book', ARGV[1])
return ARGV[1]
