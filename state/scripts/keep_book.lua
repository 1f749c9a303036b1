-- ARGV: a book's version; its content; how many versions before it are kept.
redis.call('HSET', lane .. BOOKS, ARGV[1], ARGV[2])
local oldest = tonumber(ARGV[1]) - tonumber(ARGV[3])
for _, version in ipairs(redis.call('HKEYS', lane .. BOOKS)) do
  if (tonumber(version) or 0) <= oldest then
    redis.call('HDEL', lane .. BOOKS, version)
  end
end
return 1
