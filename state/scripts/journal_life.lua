-- ARGV: a name for the life of the stream, if it has none. A consumer group carries the name, because it is
-- lost with the stream and with nothing less. Replies the name.
local stream = lane .. JOURNAL
if redis.call('EXISTS', stream) == 1 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if string.sub(group[2], 1, #JOURNAL_LIFE) == JOURNAL_LIFE then
      return group[2]
    end
  end
end
redis.call('XGROUP', 'CREATE', stream, JOURNAL_LIFE .. ARGV[1], '0', 'MKSTREAM')
return JOURNAL_LIFE .. ARGV[1]
