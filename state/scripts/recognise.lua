-- ARGV: whether Redis keeps all that it has answered when it is killed ('1'), or may lose its end ('0').
-- What is here was written by the server process that the control names. Another one has read it from its file, whose
-- end may be missing: then the control is no longer one, and the journal has another life, so that all of it is restored.
-- Replies whether this is so.
if redis.call('TYPE', lane .. CONTROL).ok ~= 'hash' or redis.call('HEXISTS', lane .. CONTROL, 'generation') == 0 then
  return 0
end
local process = server_process()
if redis.call('HGET', lane .. CONTROL, 'server') == process then
  return 0
end
if ARGV[1] == '1' then
  redis.call('HSET', lane .. CONTROL, 'server', process)
  return 0
end
redis.call('HDEL', lane .. CONTROL, 'generation', 'server')
local stream = lane .. JOURNAL
if redis.call('EXISTS', stream) == 1 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if string.sub(group[2], 1, #JOURNAL_LIFE) == JOURNAL_LIFE then
      redis.call('XGROUP', 'DESTROY', stream, group[2])
    end
  end
end
return 1
