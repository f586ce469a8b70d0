/**
 * Rate limits over all workers, asked and taken in the script that claims, by the clock of the server: at most
 * burst + rate x T in any interval T, or never more than the limit in any window. A limit that is full has no key, so a
 * lane that rests costs nothing.
 *
 * A command that takes more than the limit ever grants starts when the limit is full and leaves a debt: refusing it here
 * would block its lane for ever, and on the average the rate is kept.
 *
 * Lua makes the functions of a script anew each time it runs: those of a limiter are made where there is a limit.
 */
export const RATE = `
local function rateLimiter()
local function number(text) return string.format('%.17g', text) end

local function instant()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function amountOf(cost, unit)
  if unit == 'commands' then return 1 end
  if not cost then return 1 end
  local given = cjson.decode(cost)
  if type(given) == 'number' then return given end
  return tonumber(given[unit]) or 0
end

-- a bucket: its level at an instant
local function levelOf(limit, at)
  local has = redis.call('HMGET', limit.key, 'level', 'at')
  if not has[1] then return limit.burst, at end
  local since = math.max(tonumber(has[2]), at)
  return math.min(limit.burst, tonumber(has[1]) + (since - tonumber(has[2])) * limit.rate), since
end

local function bucketWait(limit, amount, at)
  local level = levelOf(limit, at)
  local missing = math.min(amount, limit.burst) - level
  if missing <= math.min(limit.burst, 1000000) * 1e-9 then return 0 end
  return missing / limit.rate
end

local function keepLevel(limit, level, since)
  redis.call('HSET', limit.key, 'level', number(level), 'at', number(since))
  redis.call('PEXPIRE', limit.key, math.ceil((limit.burst - level) / limit.rate / 1000) + 1000)
end

local function bucketTake(limit, amount, at)
  local level, since = levelOf(limit, at)
  keepLevel(limit, level - amount, since)
end

-- a window: every grant with its instant, and their sum
local function grantedIn(limit, at)
  local old = redis.call('ZRANGEBYSCORE', limit.key, '-inf', number(at - limit.window))
  if #old > 0 then
    local sum = tonumber(redis.call('GET', limit.key .. ':sum') or '0')
    for _, grant in ipairs(old) do sum = sum - tonumber(string.match(grant, '^[^ ]+')) end
    redis.call('ZREMRANGEBYSCORE', limit.key, '-inf', number(at - limit.window))
    if redis.call('ZCARD', limit.key) == 0 then sum = 0 end
    redis.call('SET', limit.key .. ':sum', number(sum), 'PX', math.ceil(limit.window / 1000) + 1000)
  end
  return tonumber(redis.call('GET', limit.key .. ':sum') or '0')
end

local function windowWait(limit, amount, at)
  local slack = math.min(limit.max, 1000000) * 1e-9
  local excess = grantedIn(limit, at) + math.min(amount, limit.max) - limit.max
  if excess <= slack then return 0 end
  local first = 0
  while true do
    local grants = redis.call('ZRANGE', limit.key, first, first + 99, 'WITHSCORES')
    for index = 1, #grants, 2 do
      excess = excess - tonumber(string.match(grants[index], '^[^ ]+'))
      if excess <= slack / 2 then return tonumber(grants[index + 1]) + limit.window - at end
    end
    if #grants < 200 then return limit.window end
    first = first + 100
  end
end

local function windowTake(limit, amount, at)
  if amount == 0 then return end
  local life = math.ceil(limit.window / 1000) + 1000
  local place = redis.call('INCR', limit.key .. ':place')
  local last = redis.call('ZRANGE', limit.key, -1, -1, 'WITHSCORES')
  -- the server's clock was set back: no grant is forgotten before those of earlier
  local since = last[2] and math.max(at, tonumber(last[2])) or at
  redis.call('ZADD', limit.key, number(since), number(amount) .. ' ' .. place)
  redis.call('SET', limit.key .. ':sum', number(tonumber(redis.call('GET', limit.key .. ':sum') or '0') + amount))
  for _, suffix in ipairs({'', ':sum', ':place'}) do redis.call('PEXPIRE', limit.key .. suffix, life) end
end

-- microseconds until all limits allow the command; 0 for at once
local function rateWait(limits, cost)
  local at, longest = instant(), 0
  for _, limit in ipairs(limits) do
    local wait = limit.isWindow and windowWait or bucketWait
    longest = math.max(longest, wait(limit, amountOf(cost, limit.unit), at))
  end
  return longest
end

-- gives the instant under which it is counted
local function rateTake(limits, cost)
  local at = instant()
  for _, limit in ipairs(limits) do
    local take = limit.isWindow and windowTake or bucketTake
    take(limit, amountOf(cost, limit.unit), at)
  end
  return at
end
return {wait = rateWait, take = rateTake, number = number, instant = instant, amountOf = amountOf, levelOf = levelOf,
  keepLevel = keepLevel, grantedIn = grantedIn, windowTake = windowTake}
end
`
