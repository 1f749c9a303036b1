-- ARGV: the control as it was seen (generation, epoch, book, stops, lanes; '' for none), then as it is to be.
-- The five are written together, so the generation never stands without the rest; and which server they were written in. Replies 1, or 0 when the
-- control is not as it was seen.
local control = read_control()
for i = 1, 5 do
  if (control[i] or '') ~= ARGV[i] then
    return 0
  end
end
redis.call('DEL', lane .. CONTROL)
redis.call('HSET', lane .. CONTROL, 'lanes', ARGV[10], 'stops', ARGV[9], 'book', ARGV[8], 'epoch', ARGV[7],
  'generation', ARGV[6], 'server', server_process())
return 1
