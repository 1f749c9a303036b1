-- ARGV: an account; the ends of the keys of its open orders. Forgets all of it but its answers.
local id = ARGV[1]
for i = 2, #ARGV do
  redis.call('DEL', own_key(id, ARGV[i]))
end
redis.call('DEL', lane .. ACCOUNT .. id, lane .. RESERVATIONS .. id, lane .. EXPIRY .. id)
redis.call('SREM', lane .. ACCOUNTS, id)
return 1
