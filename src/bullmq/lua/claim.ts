/**
 * Claims the next command of a lane: BullMQ's own moveToActive, preceded by what it does not know (a hold, rate limits)
 * and followed by why there was none.
 */
export const CLAIM = `
local function claimKeys(P)
  return {P .. 'wait', P .. 'active', P .. 'prioritized', P .. 'events', P .. 'stalled', P .. 'limiter', P .. 'delayed',
    P .. 'paused', P .. 'meta', P .. 'pc', P .. 'marker'}
end

local function isFull(P, concurrency)
  return concurrency and redis.call('LLEN', P .. 'active') >= tonumber(concurrency)
end

-- what is due stands among those that wait before the first of them is looked at, as moveToActive would do
local function promoteDue(P, now)
  local due = redis.call('ZRANGEBYSCORE', P .. 'delayed', 0, (tonumber(now) + 1) * 4096 - 1, 'LIMIT', 0, 1000)
  for _, id in ipairs(due) do
    redis.call('ZREM', P .. 'delayed', id)
    local priority = tonumber(redis.call('HGET', P .. id, 'priority') or '0')
    if priority == 0 then
      redis.call('LPUSH', P .. 'wait', id)
    else
      local place = redis.call('INCR', P .. 'pc')
      redis.call('ZADD', P .. 'prioritized', priority * 4294967296 + place, id)
    end
    redis.call('HSET', P .. id, 'delay', 0)
    redis.call('XADD', P .. 'events', '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
  end
end

local function firstOf(P)
  return redis.call('LINDEX', P .. 'wait', -1) or redis.call('ZRANGE', P .. 'prioritized', 0, 0)[1]
end

local function refusal(P, answer)
  local meta = redis.call('HMGET', P .. 'meta', 'paused', 'concurrency')
  if meta[1] then return {'paused'} end
  if isFull(P, meta[2]) then return {'full'} end
  local due = tonumber(answer[4])
  if due and due > 0 then return {'empty', string.format('%.0f', math.floor(due))} end
  return {'empty'}
end

-- what an earlier call with this token has claimed, whose answer was lost
local function claimedBefore(P, token)
  for _, id in ipairs(redis.call('LRANGE', P .. 'active', 0, -1)) do
    if redis.call('GET', P .. id .. ':lock') == token then
      return {'claimed', id, redis.call('HGETALL', P .. id)}
    end
  end
end

local function claim(P, now, use)
  local before = use.isAgain and claimedBefore(P, use.token)
  if before then return before end
  local settings = redis.call('HMGET', P .. '~lane', 'rate', 'isHeld', 'hasDeadlines')
  if settings[2] then
    local left = redis.call('PTTL', P .. '~hold')
    if left > 0 then return {'rate_limited', string.format('%.0f', tonumber(now) + left)} end
    redis.call('HDEL', P .. '~lane', 'isHeld')
  end
  local limits, cost, limiter
  if settings[1] then
    promoteDue(P, now)
    local first = firstOf(P)
    local meta = redis.call('HMGET', P .. 'meta', 'paused', 'concurrency')
    if first and not meta[1] and not isFull(P, meta[2]) then
      limits = cjson.decode(settings[1])
      limiter = rateLimiter()
      cost = redis.call('HGET', P .. first, 'laneCost')
      local wait = limiter.wait(limits, cost)
      if wait > 0 then return {'rate_limited', string.format('%.0f', tonumber(now) + math.ceil(wait / 1000))} end
    end
  end
  local lock = cmsgpack.pack({token = use.token, lockDuration = use.leaseMs, name = use.name})
  local answer = moveToActive(claimKeys(P), {P, now, lock})
  if type(answer[1]) ~= 'table' then return refusal(P, answer) end
  if limits then
    local at = limiter.take(limits, cost)
    redis.call('HSET', P .. answer[2], 'laneTaken', use.token .. ' ' .. string.format('%.0f', at))
  end
  if settings[3] then redis.call('ZREM', P .. '~deadlines', answer[2]) end
  return {'claimed', answer[2], answer[1]}
end
`

/** ARGV: now, token, lease in ms, name of the worker, '1' when an earlier answer to the same token may have been lost. */
export const CLAIM_BODY = `
return claim(P, ARGV[1], {token = ARGV[2], leaseMs = ARGV[3], name = ARGV[4], isAgain = ARGV[5] == '1'})
`
