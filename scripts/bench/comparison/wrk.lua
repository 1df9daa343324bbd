-- For wrk: sends one request again and again and holds each answer against what it must be. The runner writes the three values below.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init()
  wrong, first_wrong = 0, ""
end

function request()
  return SENT
end

function response(status, headers, body)
  if status ~= STATUS or not string.find(body, HOLDS, 1, true) then
    wrong = wrong + 1
    if wrong == 1 then first_wrong = status .. " " .. string.sub(body, 1, 200) end
  end
end

function done(summary, latency, requests)
  local wrong, first = 0, ""
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("wrong")
    if first == "" then first = thread:get("first_wrong") end
  end
  local errors = summary.errors
  io.write(string.format("\nRESULT %d %d %d %f %f %d %s\n", summary.requests, summary.duration, errors.connect + errors.read + errors.write
    + errors.timeout, latency:percentile(50), latency:percentile(99), wrong, first))
end
