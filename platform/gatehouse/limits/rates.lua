-- Rate limits in Redis: one call is one step, on Redis's clock.
--
-- Numbers are doubles, which are exact below 2^53. No moment (µs since 1970) and no backlog (ticks, at most twice 2^51) reaches that;
-- where a long time is multiplied, only its comparison with a backlog counts, and rounding keeps order.
--
-- KEYS: 1 the mark, 2 the leases, from 3 on one for each limit.
-- The mark says since when what is stored holds: "run since fraction until". Everything is deemed spent at `since`, so a limit without
-- a state is as if it had been spent then. It is set anew when the server was restarted or replaced, when its clock was set back
-- behind it, and when the part of the processes that use this store changes.
-- A state is "since at backlog ticks cost depth born number returns".
-- What is asked of decisions is one text, and so is every reply: a client takes long to write and read one value after the other.

local operation, run, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function whole(number)
  return string.format('%.0f', number)
end

-- Which part of all processes uses this store, and when the first lease ends.
local function count()
  local here, all, ends_first = 0, 1, 0
  local leases = redis.call('HGETALL', KEYS[2])
  for place = 1, #leases, 2 do
    local ends, processes = string.match(leases[place + 1], '^(%d+) (%d+)$')
    ends, processes = tonumber(ends), tonumber(processes)
    if ends <= now or ends > now + lease then
      redis.call('HDEL', KEYS[2], leases[place])
    else
      here = here + 1
      all = math.max(all, processes)
      if here == 1 or ends < ends_first then ends_first = ends end
    end
  end
  if here >= all then return '1/1', ends_first end
  return here .. '/' .. all, ends_first
end

local marked = redis.call('GET', KEYS[1]) or ''
local marked_run, since, fraction, ends_first = string.match(marked, '^(%S+) (%d+) (%S+) (%d+)$')
since, ends_first = tonumber(since or '0'), tonumber(ends_first or '0')
if marked_run ~= run then redis.call('DEL', KEYS[2]) end
if operation == 'attach' then redis.call('HSET', KEYS[2], ARGV[4], ARGV[5] .. ' ' .. ARGV[6]) end
if operation == 'attach' or marked_run ~= run or now >= ends_first or ends_first > now + lease then
  local counted, first = count()
  if marked_run ~= run or counted ~= fraction or since > now then since = now end
  fraction, ends_first = counted, first
  redis.call('SET', KEYS[1], run .. ' ' .. whole(since) .. ' ' .. fraction .. ' ' .. whole(ends_first))
end
if operation == 'attach' then return whole(now) .. ' ' .. fraction end

-- What is known of one limit, brought to now.
local function known(key, ticks, cost, depth)
  local stored = redis.call('GET', key)
  local state = {ticks = ticks, cost = cost, depth = depth, born = whole(now), number = 0, returns = '-'}
  if stored then
    local of, at, backlog, old_ticks, old_cost, old_depth, born, number, returns =
      string.match(stored, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+)$')
    if tonumber(of) == since then
      at, backlog, old_ticks, old_cost, old_depth =
        tonumber(at), tonumber(backlog), tonumber(old_ticks), tonumber(old_cost), tonumber(old_depth)
      state.backlog = math.max(0, backlog - math.max(0, now - at) * old_ticks)
      state.changed = at > now
      if old_ticks ~= ticks or old_cost ~= cost or old_depth ~= depth then
        local left = old_depth - state.backlog
        left = math.min((left - left % old_cost) / old_cost, depth / cost)
        state.backlog = depth - left * cost
        state.changed = true
      end
      if not state.changed and state.backlog > 0 then
        state.born, state.number, state.returns = born, tonumber(number), returns
      end
      return state
    end
  end
  state.backlog = math.max(0, depth - (now - since) * ticks)
  return state
end

local function keep(key, state)
  local life = math.ceil(state.backlog / state.ticks / 1000) + 5000
  local parts = {whole(since), whole(now), whole(state.backlog), whole(state.ticks), whole(state.cost), whole(state.depth),
    state.born, whole(state.number), state.returns}
  redis.call('SET', key, table.concat(parts, ' '), 'PX', whole(life))
end

if operation == 'return' then
  -- ARGV from 4 on, for each limit: ticks, cost, depth, amount, born, number, at, backlog.
  -- Of a claim comes back what has not been drained: its end, less what earlier claims gave back since it was made.
  for place = 3, #KEYS do
    local first = 4 + (place - 3) * 8
    local ticks, cost, depth, amount = tonumber(ARGV[first]), tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3])
    local born, number, at, backlog = ARGV[first + 4], tonumber(ARGV[first + 5]), tonumber(ARGV[first + 6]), tonumber(ARGV[first + 7])
    local state = known(KEYS[place], ticks, cost, depth)
    if state.born == born and not state.changed and state.backlog > 0 and now >= at then
      local ends = backlog - (now - at) * ticks
      local others = {}
      for when, of, back in string.gmatch(state.returns, '(%d+),(%d+),(%d+);') do
        others[#others + 1] = {tonumber(when), tonumber(of), tonumber(back)}
        if tonumber(of) < number and tonumber(when) > number then ends = ends - tonumber(back) end
      end
      local back = math.max(0, math.min(amount, ends))
      if back > 0 then
        state.number = state.number + 1
        others[#others + 1] = {state.number, number, back}
        if #others > 64 then -- the two oldest become one that counts for every claim that either counts for: never too much comes back
          local one, two = table.remove(others, 1), others[1]
          others[1] = {math.max(one[1], two[1]), math.min(one[2], two[2]), one[3] + two[3]}
        end
        local texts = {}
        for index, other in ipairs(others) do
          texts[index] = whole(other[1]) .. ',' .. whole(other[2]) .. ',' .. whole(other[3]) .. ';'
        end
        state.returns = table.concat(texts)
        state.backlog = state.backlog - back
        keep(KEYS[place], state)
      end
    end
  end
  return whole(now) .. ' ' .. fraction
end

-- operation 'decide': ARGV 4 is the fraction that the limits were cut to, ARGV 5 numbers with commas between: for each limit ticks, cost,
-- depth; then the decisions, one after the other: how many limits, and for each of these its place among KEYS and the amount. A decision
-- sees what those before it took. The reply goes on with, for each decision, whether it is admitted, and for each of its limits the
-- backlog, and what a claim of it is known by.
if fraction ~= ARGV[4] then return whole(now) .. ' ' .. fraction end
local told = cjson.decode('[' .. ARGV[5] .. ']')
local states, at = {}, 1
for place = 3, #KEYS do
  states[place] = known(KEYS[place], told[at], told[at + 1], told[at + 2])
  at = at + 3
end
local reply = {whole(now), fraction}
while at <= #told do
  local first, last, admitted = at + 1, at + 2 * told[at], true
  for index = first, last, 2 do
    local state, amount = states[told[index]], told[index + 1]
    if state.backlog + amount > state.depth and amount > 0 then admitted = false end
  end
  reply[#reply + 1] = admitted and '1' or '0'
  for index = first, last, 2 do
    local state, amount = states[told[index]], told[index + 1]
    if admitted and amount > 0 then
      state.backlog = state.backlog + amount
      state.number = state.number + 1
      state.changed = true
    end
    reply[#reply + 1] = whole(state.backlog)
    reply[#reply + 1] = state.born
    reply[#reply + 1] = whole(state.number)
  end
  at = last + 1
end
for place = 3, #KEYS do
  if states[place].changed then keep(KEYS[place], states[place]) end
end
return table.concat(reply, ' ')
