/**
 * Ends a lease, and claims the next command in the same step. Whoever names another token than the lock has changes
 * nothing; an end that was done and whose answer was lost is answered as done when it is told again.
 */
export const END = `
local function keepLetter(N, laneId, id, letter)
  if redis.call('HSET', N .. 'letters', id, letter) == 0 then return end
  redis.call('ZADD', N .. 'letterorder', redis.call('INCR', N .. 'letterplace'), id)
  redis.call('HINCRBY', N .. 'lettercounts', laneId, 1)
end

-- whether an end was refused because the lease is another's, or over; one that was told before counts as done
local function isRefused(key, code, end_)
  if type(code) ~= 'number' or code >= 0 then return false end
  return not (end_.isAgain and redis.call('HGET', key, 'laneToken') == end_.token)
end

-- the next claim that goes with an end, or a sign to others that there is room
local function proceed(P, now, use)
  if use.token ~= '' then return claim(P, now, use) end
  wake(P)
end
`

/**
 * ARGV: 1 job id, 2 token, 3 now, 4 next token or '', 5 lease in ms, 6 worker, 7 '1' when it may have been told before,
 * 8 target, 9 result as JSON ('' for none) or the reason of the failure, 10 how many are kept (-1: not looked at now),
 * 11 for how many seconds,
 * 12 letter or '', 13 id of the command, 14 lane id, from 15 on fields of the job and their values.
 */
export const SETTLE_BODY = `
local id, token, now, target = ARGV[1], ARGV[2], ARGV[3], ARGV[8]
local key, isAgain = P .. id, ARGV[7] == '1'
local opts = cmsgpack.pack({token = token, lockDuration = ARGV[5], attempts = 0, maxMetricsSize = '',
  keepJobs = {count = tonumber(ARGV[10]), age = tonumber(ARGV[11]), limit = 1000}})
local property = target == 'completed' and 'returnvalue' or 'failedReason'
local value = ARGV[9] == '' and 'null' or ARGV[9]
local code = moveToFinished({P .. 'wait', P .. 'active', P .. 'prioritized', P .. 'events', P .. 'stalled',
  P .. 'limiter', P .. 'delayed', P .. 'paused', P .. 'meta', P .. 'pc', P .. target, key, P .. 'metrics:' .. target,
  P .. 'marker'}, {id, now, property, value, target, '0', P, opts, cmsgpack.pack({unpack(ARGV, 15)})})
local isLost, told = isRefused(key, code, {token = token, isAgain = isAgain}), {false, false, false}
if not isLost then
  told = redis.call('HMGET', key, 'laneReply', 'laneWaiters', 'laneDedupe')
  if ARGV[12] ~= '' then keepLetter(N, ARGV[14], ARGV[13], ARGV[12]) end
  if told[3] then settleHold(N, P, id, told[3], now) end
end
local next = proceed(P, now, {token = ARGV[4], leaseMs = ARGV[5], name = ARGV[6], isAgain = isAgain})
return {isLost and '1' or '0', told, next}
`

/**
 * ARGV: as above up to 7, then 8 'delay' or 'release', 9 delay in ms, 10 its cause as JSON, from 11 on fields of the job and their
 * values.
 */
export const RETURN_BODY = `
-- what BullMQ's script writes to the stream says why, too
local function withCause(cause)
  local function call(name, ...)
    local args = {...}
    if name == 'XADD' then
      args[#args + 1] = 'laneCause'
      args[#args + 1] = cause
    end
    return redis.call(name, unpack(args))
  end
  return setmetatable({call = call}, {__index = redis})
end

local id, token, now = ARGV[1], ARGV[2], ARGV[3]
local key, isAgain = P .. id, ARGV[7] == '1'
local fields, code = {unpack(ARGV, 11)}, nil
if ARGV[8] == 'delay' then
  -- somebody wants it cancelled: it is claimed at once to be ended as that
  local delay = redis.call('HEXISTS', key, 'laneCancel') == 1 and '0' or ARGV[9]
  code = moveToDelayed({P .. 'marker', P .. 'active', P .. 'prioritized', P .. 'delayed', key, P .. 'events',
    P .. 'meta', P .. 'stalled', P .. 'wait', P .. 'limiter', P .. 'pc'},
    {P, now, id, token, delay, '0', cmsgpack.pack(fields), '0', ''}, withCause(ARGV[10]))
else
  code = moveJobFromActiveToWait({P .. 'active', P .. 'wait', P .. 'stalled', P .. 'paused', P .. 'meta',
    P .. 'limiter', P .. 'prioritized', P .. 'marker', P .. 'events'}, {id, token, key})
  if code >= 0 then
    redis.call('HSET', key, unpack(fields))
    -- the head of its lane, whatever its priority: what waits without one is taken first
    if redis.call('ZREM', P .. 'prioritized', id) == 1 then redis.call('RPUSH', P .. 'wait', id) end
  end
end
local isLost = isRefused(key, code, {token = token, isAgain = isAgain})
-- told before, it has been done before: what became of the command since is not touched
if not isLost and code >= 0 then
  redis.call('HDEL', key, 'laneLost')
  waitsAgain(P, id)
end
local next = proceed(P, now, {token = ARGV[4], leaseMs = ARGV[5], name = ARGV[6], isAgain = isAgain})
return {isLost and '1' or '0', {false, false}, next}
`

/** For what waits again. */
export const AGAIN = `
-- it waits again: what is looked at of those that wait has to know it
local function waitsAgain(P, id)
  local deadline = redis.call('HGET', P .. id, 'laneDeadline')
  if deadline then redis.call('ZADD', P .. '~deadlines', deadline, id) end
end
`
