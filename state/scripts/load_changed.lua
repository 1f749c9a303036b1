-- ARGV: the generation of the editions that follow; then for each account its id and the edition that is known of it,
-- empty for none. Replies the time, the generation now, and for each account false where it is as it is known, or else
-- its edition, version, state, ledger and the reservations that are over.
local now = now_text()
local generation = read_control()[1]
local same_life = generation == ARGV[1]
local reply = { now, generation }
for at = 2, #ARGV, 2 do
  local id = ARGV[at]
  local key = lane .. ACCOUNT .. id
  local version = redis.call('HGET', key, 'version')
  local edition = (version or '0') .. ' ' .. redis.call('ZCOUNT', lane .. EXPIRY .. id, '-inf', now)
  local found = false
  if not same_life or edition ~= ARGV[at + 1] then
    local view = redis.call('HMGET', key, 'state', 'ledger')
    local ledger = ledger_is_lost(id, view[2]) and LOST_LEDGER or view[2]
    found = { edition, version, view[1], ledger, read_expired(id, now) }
  end
  reply[#reply + 1] = found
end
return reply
