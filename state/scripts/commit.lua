-- ARGV: life of answers in s; generation, epoch and book expected ('' for any); the changes; the journal;
-- a Load. Replies 1 when all of it is written, or what the Load reads when something moved.

local function read_changes(at)
  local changes = {}
  local count = tonumber(ARGV[at])
  at = at + 1
  for i = 1, count do
    local change = {
      id = ARGV[at], expected = ARGV[at + 1], following = ARGV[at + 2],
      state = ARGV[at + 3], symbols = ARGV[at + 4], ledger = ARGV[at + 5], flow = ARGV[at + 6],
    }
    change.removed = at + 11
    change.added = change.removed + 3 * ARGV[at + 7]
    change.answers = change.added + 5 * ARGV[at + 8]
    change.fills = change.answers + 2 * ARGV[at + 9]
    at = change.fills + ARGV[at + 10]
    change.last = at - 1
    changes[i] = change
  end
  return changes, at
end

local function control_is_expected()
  if ARGV[2] == '' then
    return true
  end
  local control = read_control()
  return control[1] == ARGV[2] and control[2] == ARGV[3] and control[3] == ARGV[4]
    and control[4] ~= false and control[5] ~= false
end

-- What was decided on a control never writes the first ledger over reservations; a restore does.
local function is_over_lost_ledger(change)
  return ARGV[2] ~= '' and change.ledger ~= ''
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
  if change.answers > change.removed then
    redis.call('HLEN', lane .. RESERVATIONS .. id)
    redis.call('ZCARD', lane .. EXPIRY .. id)
  end
  local removed = {}
  for i = change.removed, change.added - 1, 3 do
    if not redis.call('ZSCORE', own_key(id, ARGV[i + 1]), ARGV[i + 2]) then
      return false
    end
    removed[ARGV[i]] = true
  end
  for i = change.added, change.answers - 1, 5 do
    redis.call('ZCARD', own_key(id, ARGV[i + 1]))
    if not removed[ARGV[i]] and redis.call('HEXISTS', lane .. RESERVATIONS .. id, ARGV[i]) == 1 then
      return false
    end
  end
  for i = change.answers, change.fills - 1, 2 do
    local known = redis.call('GETRANGE', answer_key(id, ARGV[i]), 0, 4)
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
  for i = change.removed, change.added - 1, 3 do
    redis.call('HDEL', lane .. RESERVATIONS .. id, ARGV[i])
    redis.call('ZREM', lane .. EXPIRY .. id, ARGV[i])
    redis.call('ZREM', own_key(id, ARGV[i + 1]), ARGV[i + 2])
  end
  for i = change.added, change.answers - 1, 5 do
    redis.call('HSET', lane .. RESERVATIONS .. id, ARGV[i], ARGV[i + 4])
    redis.call('ZADD', lane .. EXPIRY .. id, ARGV[i + 3], ARGV[i])
    redis.call('ZADD', own_key(id, ARGV[i + 1]), 0, ARGV[i + 2])
  end
  for i = change.answers, change.fills - 1, 2 do
    redis.call('SET', answer_key(id, ARGV[i]), ARGV[i + 1], 'EX', ARGV[1])
  end
  for i = change.fills, change.last do
    redis.call('SET', fill_key(id, ARGV[i]), '', 'EX', ARGV[1])
  end
end

local changes, at = read_changes(5)
local entries = tonumber(ARGV[at])
local reload = at + 1 + entries

if not control_is_expected() then
  return loaded(reload)
end
for i = 1, #changes do
  if not is_as_expected(changes[i]) then
    return loaded(reload)
  end
end
-- The journal first: where it cannot be written (another type, no ids left), nothing else is.
for i = at + 1, at + entries do
  redis.call('XADD', lane .. JOURNAL, '*', 'd', ARGV[i])
end
for i = 1, #changes do
  write(changes[i])
end
return 1
