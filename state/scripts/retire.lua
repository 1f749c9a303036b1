-- ARGV: how many lanes there are. Takes the generation from a control of another number, and with it its life;
-- its stops stay.
local control = read_control()
if control[1] and control[5] ~= ARGV[1] then
  redis.call('HDEL', lane .. CONTROL, 'generation')
end
return 1
