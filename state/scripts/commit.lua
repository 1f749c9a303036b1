-- ARGV[1], packed: { life of answers in s; generation, epoch and book expected ('' for any); the changes }.
-- ARGV[2]: a Load, which is unpacked only where it is needed. Then, as they are, since they are large: for each change its
-- state, ledger and flow ('' for none), its added reservations and the contents of its answers; and the journal's entries.
-- Replies 1 when all of it is written, or what the Load reads when something moved.

local life, generation, epoch, book, changes = unpack(cmsgpack.unpack(ARGV[1]))

-- Gives each change its large contents, or the place in ARGV before the first of them; returns where the journal begins.
local function assign_contents()
  local at = 3
  for _, change in ipairs(changes) do
    change.state, change.ledger, change.flow = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    change.reservations_at = at + 2
    change.contents_at = change.reservations_at + #change.added
    at = change.contents_at + #change.answers + 1
  end
  return at
end

local function control_is_expected()
  if generation == '' then
    return true
  end
  local control = read_control()
  return control[1] == generation and control[2] == epoch and control[3] == book
    and control[4] ~= false and control[5] ~= false
end

-- What was decided on a control never writes the first ledger over reservations; a restore does.
local function is_over_lost_ledger(change)
  return generation ~= '' and change.ledger ~= ''
    and ledger_is_lost(change.id, redis.call('HEXISTS', lane .. ACCOUNT .. change.id, 'ledger') == 1)
end

-- Redis does not undo what a script has written before an error. So every key that a change writes is read
-- before anything is written: one of another type is an error then.
local function is_as_expected(change)
  local id = change.id
  if (redis.call('HGET', lane .. ACCOUNT .. id, 'version') or '0') ~= change.expected then
    return false
  end
  if change.expected == '0' then
    redis.call('SCARD', lane .. ACCOUNTS)
  end
  if is_over_lost_ledger(change) then
    return false
  end
  if #change.removed + #change.added > 0 then
    redis.call('HLEN', lane .. RESERVATIONS .. id)
    redis.call('ZCARD', lane .. EXPIRY .. id)
  end
  local removed = {}
  for _, held in ipairs(change.removed) do
    local order, suffix, member = unpack(held)
    if not redis.call('ZSCORE', own_key(id, suffix), member) then
      return false
    end
    removed[order] = true
  end
  for _, held in ipairs(change.added) do
    local order, suffix = unpack(held)
    redis.call('ZCARD', own_key(id, suffix))
    if not removed[order] and redis.call('HEXISTS', lane .. RESERVATIONS .. id, order) == 1 then
      return false
    end
  end
  for _, order in ipairs(change.answers) do
    local known = redis.call('GETRANGE', answer_key(id, order), 0, 4)
    if known ~= '' and known ~= 'tail\n' then
      return false
    end
  end
  return true
end

-- The symbols of an account with those of a change added to them.
local function with_symbols(key, added)
  local known = redis.call('HGET', key, 'symbols') or ''
  for symbol in string.gmatch(added, '[^\n]+') do
    if not string.find('\n' .. known .. '\n', '\n' .. symbol .. '\n', 1, true) then
      known = known == '' and symbol or known .. '\n' .. symbol
    end
  end
  return known
end

local function write_record(change)
  local key = lane .. ACCOUNT .. change.id
  if change.following == '' then
    return
  end
  local fields = { 'version', change.following }
  if change.state ~= '' then
    fields[3], fields[4], fields[5], fields[6] = 'state', change.state, 'symbols', change.symbols
  elseif change.symbols ~= '' then
    fields[3], fields[4] = 'symbols', with_symbols(key, change.symbols)
  end
  if change.ledger ~= '' then
    fields[#fields + 1] = 'ledger'
    fields[#fields + 1] = change.ledger
  end
  if change.flow ~= '' then
    fields[#fields + 1] = 'flow'
    fields[#fields + 1] = change.flow
  end
  redis.call('HSET', key, unpack(fields))
  if change.expected == '0' then
    redis.call('SADD', lane .. ACCOUNTS, change.id)
  end
end

local function write(change)
  local id = change.id
  write_record(change)
  for _, held in ipairs(change.removed) do
    local order, suffix, member = unpack(held)
    redis.call('HDEL', lane .. RESERVATIONS .. id, order)
    redis.call('ZREM', lane .. EXPIRY .. id, order)
    redis.call('ZREM', own_key(id, suffix), member)
  end
  for i, held in ipairs(change.added) do
    local order, suffix, member, expires = unpack(held)
    redis.call('HSET', lane .. RESERVATIONS .. id, order, ARGV[change.reservations_at + i])
    redis.call('ZADD', lane .. EXPIRY .. id, expires, order)
    redis.call('ZADD', own_key(id, suffix), 0, member)
  end
  for i, order in ipairs(change.answers) do
    redis.call('SET', answer_key(id, order), ARGV[change.contents_at + i], 'EX', life)
  end
  for _, fill in ipairs(change.fills) do
    redis.call('SET', fill_key(id, fill), '', 'EX', life)
  end
end

local journal = assign_contents()

if not control_is_expected() then
  return loaded(ARGV[2])
end
for _, change in ipairs(changes) do
  if not is_as_expected(change) then
    return loaded(ARGV[2])
  end
end
-- The journal first: where it cannot be written (another type, no ids left), nothing else is.
for i = journal, #ARGV do
  redis.call('XADD', lane .. JOURNAL, '*', 'd', ARGV[i])
end
for _, change in ipairs(changes) do
  write(change)
end
return 1
