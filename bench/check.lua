-- The load of wrk: orders with ids of their own, over many accounts. Arguments: API key, accounts, a tag that makes
-- the ids differ from those of other runs, and "verify" to look into every answer.

local key, accounts, tag, verify
local sent = 0
wrong, example = 0, "" -- global: done() asks the threads for them
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init(arguments)
  key, accounts, tag, verify = arguments[1], tonumber(arguments[2]), arguments[3], arguments[4] == "verify"
  if not verify then
    response = nil -- wrk then does not hand every answer to Lua, which costs more than reading it
  end
end

-- The same order as bench.world.order makes.
function request()
  local number = math.floor(sent / accounts)
  local buys = number % 2 == 0
  local body = string.format(
    '{"order_id":"%s-%d","account_id":"bench-%03d","symbol":"BENCH%dUSDT","side":"%s","quantity":"%s","price":"%s",' ..
    '"strategy_id":"bench"}',
    tag, sent, sent % accounts, math.floor(number / 2) % 10,
    buys and "BUY" or "SELL", buys and "1.01" or "1", buys and "100" or "101")
  sent = sent + 1
  return string.format(
    "POST /risk/check HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n" ..
    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
    key, #body, body)
end

function response(status, headers, body)
  if status ~= 200 or not string.find(body, '"approved":true', 1, true) then
    wrong = wrong + 1
    if example == "" then
      example = status .. " " .. string.sub(body, 1, 300)
    end
  end
end

function done(summary, latency, requests)
  local failed, text = 0, ""
  for _, thread in ipairs(threads) do
    failed = failed + (thread:get("wrong") or 0)
    if text == "" then
      text = thread:get("example") or ""
    end
  end
  local errors = summary.errors
  io.write(string.format(
    "RESULT\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.status + errors.connect + errors.read + errors.write + errors.timeout, failed,
    string.gsub(text, "%s", " ")))
end
