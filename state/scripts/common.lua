-- What load and commit share. The names of keys and KEYS[1], a lane's prefix, are set before this text.
-- Scripts compare and write. They never calculate: amounts pass through as the text they are.

local lane = KEYS[1]

local function now_text()
  local time = redis.call('TIME')
  return time[1] .. string.format('%06d', time[2])
end

-- The name of the process that this server is: another one after every start.
local function server_process()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

local function answer_key(account, order)
  return lane .. ANSWER .. #account .. ':' .. account .. ':' .. order
end

local function fill_key(account, fill)
  return lane .. FILL .. #account .. ':' .. account .. ':' .. fill
end

local function own_key(account, suffix)
  return lane .. OWN .. #account .. ':' .. account .. ':' .. suffix
end

-- A control of another type is no control; it must not stop a load from saying so.
local function read_control()
  local fields = redis.pcall('HMGET', lane .. CONTROL, 'generation', 'epoch', 'book', 'stops', 'lanes')
  if fields.err then
    return { false, false, false, false, false }
  end
  return fields
end

-- HMGET of any number of fields: unpack() is limited by the C stack.
local function read_fields(key, fields)
  local values = {}
  for first = 1, #fields, 1000 do
    local last = math.min(first + 999, #fields)
    local part = redis.call('HMGET', key, unpack(fields, first, last))
    for i = 1, #part do
      values[#values + 1] = part[i]
    end
  end
  return values
end

local function json_list(parts)
  return #parts == 0 and '' or '[' .. table.concat(parts, ',') .. ']'
end

-- The prices of all symbols in `wanted` that are known, as one JSON object.
local function read_prices(wanted)
  local values = read_fields(lane .. PRICES, wanted)
  local found = {}
  for i = 1, #values do
    if values[i] then
      found[#found + 1] = values[i]
    end
  end
  return '{' .. table.concat(found, ',') .. '}'
end

local function read_expired(account, now)
  local orders = redis.call('ZRANGEBYSCORE', lane .. EXPIRY .. account, '-inf', now, 'LIMIT', 0, EXPIRED_LIMIT)
  if #orders == 0 then
    return ''
  end
  return json_list(redis.call('HMGET', lane .. RESERVATIONS .. account, unpack(orders)))
end

-- The price (first word) of the first member that is still alive, from the end that `command` reads.
local function best_price(command, key, now)
  local first, size = 0, 4
  while true do
    local members = redis.call(command, key, first, first + size - 1)
    for i = 1, #members do
      local price, expires = string.match(members[i], '^(%S+) (%d+) ')
      if tonumber(expires) > now then
        return price
      end
    end
    if #members < size then
      return ''
    end
    first, size = first + size, size * 4
  end
end

-- Reservations are summed in a ledger. Where there are some and it is gone, deleted or evicted, what stands for
-- it is no ledger: else the room that they hold would be given a second time.
local function ledger_is_lost(account, is_there)
  return not is_there and redis.call('HLEN', lane .. RESERVATIONS .. account) > 0
end

-- What one account's query asks: { id, order ids, symbols, keys of own orders, reservations, fills, whether its flow }.
-- Returns its view; the symbols whose prices it needs are added to `wanted`, each once.
local function read_account(query, now, wanted, seen)
  local id, orders, symbols, keys, held, fills, flow = unpack(query)
  local view = redis.call('HMGET', lane .. ACCOUNT .. id, 'version', 'state', 'ledger', 'symbols')
  if ledger_is_lost(id, view[3]) then
    view[3] = LOST_LEDGER
  end
  view[5] = read_expired(id, now)
  for i = 1, #orders do
    view[#view + 1] = redis.call('GET', answer_key(id, orders[i]))
  end
  local function want(symbol)
    if not seen[symbol] then
      seen[symbol] = true
      wanted[#wanted + 1] = symbol
    end
  end
  for i = 1, #symbols do
    want(symbols[i])
  end
  for symbol in string.gmatch(view[4] or '', '[^\n]+') do
    want(symbol)
  end
  for i = 1, #keys do
    view[#view + 1] = best_price('ZREVRANGE', own_key(id, 'B:' .. keys[i]), now)
    view[#view + 1] = best_price('ZRANGE', own_key(id, 'S:' .. keys[i]), now)
  end
  for i = 1, #held do
    view[#view + 1] = redis.call('HGET', lane .. RESERVATIONS .. id, held[i])
  end
  for i = 1, #fills do
    view[#view + 1] = redis.call('EXISTS', fill_key(id, fills[i]))
  end
  if flow then
    view[#view + 1] = redis.call('HGET', lane .. ACCOUNT .. id, 'flow')
  end
  return view
end

-- The reply to a Load, which is the queries of its accounts, packed.
local function loaded(packed)
  local now = now_text()
  local control = read_control()
  local signal = redis.call('GET', lane .. SIGNAL)
  local reply = { now, control[1], control[2], control[3], control[4], control[5], '', signal }
  local wanted, seen = {}, {}
  for i, query in ipairs(cmsgpack.unpack(packed)) do
    reply[8 + i] = read_account(query, tonumber(now), wanted, seen)
  end
  reply[7] = read_prices(wanted)
  return reply
end
