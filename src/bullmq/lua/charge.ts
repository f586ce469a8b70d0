/**
 * Corrects what the rate limits of a lane count for an attempt that runs. The job keeps the last charge under its lock
 * (`laneCharged`: token, number, instant of its last debt, the cost), so one that is told again changes nothing; and the
 * claim has written when the limits were taken (`laneTaken`: token and instant).
 *
 * What a window gets back is taken off the grants of the attempt itself, or off older ones: never off a grant that others
 * got after it, which would then be forgotten before it is a window old.
 */
export const CHARGE = `
local function bucketSettle(limiter, limit, more, at)
  local level, since = limiter.levelOf(limit, at)
  limiter.keepLevel(limit, math.min(limit.burst, level - more), since)
end

-- takes off the grants of these instants, the newest first; gives what is left to be taken off
local function lower(limiter, limit, amount, from, to)
  while amount > 0 do
    local grants = redis.call('ZREVRANGEBYSCORE', limit.key, to, from, 'WITHSCORES', 'LIMIT', 0, 100)
    if #grants == 0 then return amount end
    for index = 1, #grants, 2 do
      if amount <= 0 then return 0 end
      local granted, place = string.match(grants[index], '^([^ ]+) (.*)$')
      local left = tonumber(granted) - amount
      amount = amount - tonumber(granted)
      redis.call('ZREM', limit.key, grants[index])
      if left > 0 then redis.call('ZADD', limit.key, grants[index + 1], limiter.number(left) .. ' ' .. place) end
    end
  end
  return 0
end

local function windowGiveBack(limiter, limit, amount, taken, at)
  local sum = limiter.grantedIn(limit, at)
  local left = lower(limiter, limit, amount, taken.debt, taken.debt)
  left = lower(limiter, limit, left, '-inf', taken.start)
  sum = redis.call('ZCARD', limit.key) == 0 and 0 or sum - amount + left
  local life = math.ceil(limit.window / 1000) + 1000
  if sum > 0 then redis.call('SET', limit.key .. ':sum', limiter.number(sum), 'PX', life)
  else redis.call('DEL', limit.key .. ':sum') end
end

-- the keys of limits that have got something back; whether something was a debt
local function settle(limiter, limits, costs, taken, at)
  local richer, isDebt = {}, false
  for _, limit in ipairs(limits) do
    local more = limiter.amountOf(costs.after, limit.unit) - limiter.amountOf(costs.before, limit.unit)
    if more > 0 or (more < 0 and taken.start) then
      if not limit.isWindow then bucketSettle(limiter, limit, more, at)
      elseif more > 0 then limiter.windowTake(limit, more, at)
      else windowGiveBack(limiter, limit, -more, taken, at) end
    end
    if more > 0 then isDebt = true end
    if more < 0 and taken.start then richer[limit.key] = true end
  end
  return richer, isDebt
end

-- queues that have something to start and a limit of these
local function waitingFor(richer)
  local queues, all = {}, redis.call('HGETALL', N .. 'bases')
  for at = 1, #all, 2 do
    local rate = isWaiting(all[at + 1]) and redis.call('HGET', all[at + 1] .. '~lane', 'rate')
    for _, limit in ipairs(rate and cjson.decode(rate) or {}) do
      if richer[limit.key] and queues[#queues] ~= all[at] then queues[#queues + 1] = all[at] end
    end
  end
  return queues
end
`

/** ARGV: job id, token, number of the charge, cost before the first or '', cost in all. Answers queues that may start more. */
export const CHARGE_BODY = `
local key, token, count, after = P .. ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
local settings = redis.call('HGET', P .. '~lane', 'rate')
if not settings or redis.call('GET', key .. ':lock') ~= token then return {} end
local kept = redis.call('HMGET', key, 'laneCharged', 'laneTaken')
local before, debt = ARGV[4] ~= '' and ARGV[4], '0'
local by, number, debtAt, cost = string.match(kept[1] or '', '^([^ ]+) (%d+) (%d+) (.*)$')
if by == token then
  if tonumber(number) >= count then return {} end
  before, debt = cost, debtAt
end
local taker, start = string.match(kept[2] or '', '^([^ ]+) (%d+)$')
local limiter = rateLimiter()
local at = limiter.instant()
local costs = {before = before, after = after}
-- what began before there was a limit has taken nothing from it
local taken = {start = taker == token and start, debt = debt}
local richer, isDebt = settle(limiter, cjson.decode(settings), costs, taken, at)
if isDebt then debt = string.format('%.0f', at) end
redis.call('HSET', key, 'laneCharged', token .. ' ' .. ARGV[3] .. ' ' .. debt .. ' ' .. after)
return next(richer) and waitingFor(richer) or {}
`
