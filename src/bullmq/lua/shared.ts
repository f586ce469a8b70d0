/**
 * Lua that several scripts have in common. `P` is the prefix of a lane's keys (`{namespace}:lane:`), `N` that of the
 * namespace's own (`{namespace}~`). All keys of a namespace are in one slot of a cluster. The sets, lists and hashes are
 * BullMQ's; a key of ours has a `~` after the prefix, a field of ours begins with `lane`.
 */

/** Tells a sleeping worker that the lane may have something to start: BullMQ does so only where a command is added. */
const WAKE = `
local function isWaiting(P)
  return redis.call('LLEN', P .. 'wait') > 0 or redis.call('ZCARD', P .. 'prioritized') > 0
end
local function wake(P)
  if not isWaiting(P) then return end
  local meta = redis.call('HMGET', P .. 'meta', 'paused', 'concurrency')
  if meta[1] or (meta[2] and redis.call('LLEN', P .. 'active') >= tonumber(meta[2])) then return end
  redis.call('ZADD', P .. 'marker', 0, '0')
end
`

/** Puts a command that stood aside among those that wait, or among the delayed ones. */
const ENQUEUE = `
local function enqueue(P, id, now)
  local fields = redis.call('HMGET', P .. id, 'priority', 'laneDue')
  local due = tonumber(fields[2] or '0')
  if due > tonumber(now) then
    redis.call('ZADD', P .. 'delayed', due * 4096, id)
    local first = redis.call('ZRANGE', P .. 'delayed', 0, 0, 'WITHSCORES')
    redis.call('ZADD', P .. 'marker', tonumber(first[2]) / 4096, '1')
  else
    local place = redis.call('INCR', P .. 'pc')
    redis.call('ZADD', P .. 'prioritized', tonumber(fields[1]) * 4294967296 + place, id)
    redis.call('XADD', P .. 'events', '*', 'event', 'waiting', 'jobId', id)
    wake(P)
  end
end
`

/**
 * The ids that keep duplicates out. A hold names its owner (`base`, `job`), the end of its window, and the newest
 * duplicate, which follows the owner.
 */
const DEDUPE = `
local function settleHold(N, P, id, key, now)
  local hold = N .. 'dedupe:' .. key
  local has = redis.call('HMGET', hold, 'base', 'job', 'until', 'nextBase', 'nextJob', 'nextUntil')
  if has[1] ~= P or has[2] ~= id then
    if has[4] == P and has[5] == id then redis.call('HDEL', hold, 'nextBase', 'nextJob', 'nextUntil') end
    return
  end
  if has[4] then
    redis.call('DEL', hold)
    redis.call('HSET', hold, 'base', has[4], 'job', has[5], 'until', has[6])
    redis.call('ZREM', has[4] .. '~parked', has[5])
    enqueue(has[4], has[5], now)
  elseif tonumber(has[3]) > tonumber(now) then
    redis.call('HSET', hold, 'isSettled', '1')
    redis.call('PEXPIRE', hold, tonumber(has[3]) - tonumber(now))
  else
    redis.call('DEL', hold)
  end
end
`

/** Gives a command that does not run the outcome 'cancelled'. Answers who waits for it; false when it does not wait. */
const CANCEL = `
local function cancelWaiting(N, P, id, now, reason, failure)
  local key = P .. id
  local removed = redis.call('ZREM', P .. 'prioritized', id) + redis.call('ZREM', P .. 'delayed', id)
    + redis.call('ZREM', P .. '~parked', id)
  if removed == 0 then removed = redis.call('LREM', P .. 'wait', 0, id) end
  if removed == 0 then return false end
  redis.call('ZREM', P .. '~deadlines', id)
  redis.call('ZADD', P .. 'failed', now, id)
  redis.call('HSET', key, 'failedReason', reason, 'finishedOn', now, 'laneState', 'cancelled', 'laneError', failure)
  redis.call('XADD', P .. 'events', '*', 'event', 'failed', 'jobId', id, 'failedReason', reason, 'prev', 'waiting')
  local told = redis.call('HMGET', key, 'laneReply', 'laneWaiters', 'laneDedupe')
  if told[3] then settleHold(N, P, id, told[3], now) end
  return {P, id, told[1] or '', told[2] or ''}
end
`

/** One more process waits for the outcome of a command. */
const AWAIT = `
local function await(key, instance)
  if instance == '' then return end
  local known = redis.call('HMGET', key, 'laneReply', 'laneWaiters')
  if known[1] == instance then return end
  local waiters = known[2] or ''
  if string.find(waiters .. ',', instance .. ',', 1, true) then return end
  redis.call('HSET', key, 'laneWaiters', waiters == '' and instance or (waiters .. ',' .. instance))
end
`

/** Removes settled commands: those that are too many, and those that are too old. */
const PRUNE = `
local REMOVED = 200

local function drop(P, set, ids)
  if #ids == 0 then return end
  local keys = {}
  for index, id in ipairs(ids) do
    local key, at = P .. id, 6 * index
    keys[at - 5], keys[at - 4], keys[at - 3] = key, key .. ':logs', key .. ':dependencies'
    keys[at - 2], keys[at - 1], keys[at] = key .. ':processed', key .. ':failed', key .. ':unsuccessful'
  end
  redis.call('DEL', unpack(keys))
  redis.call('ZREM', P .. set, unpack(ids))
end

-- some of them; whether there may be more
local function prune(P, set, now, count, ageSeconds)
  local excess = redis.call('ZCARD', P .. set) - count
  if excess > 0 then drop(P, set, redis.call('ZRANGE', P .. set, 0, math.min(excess, REMOVED) - 1)) end
  local old = redis.call('ZRANGEBYSCORE', P .. set, '-inf', now - ageSeconds * 1000, 'LIMIT', 0, REMOVED)
  drop(P, set, old)
  return excess > REMOVED or #old == REMOVED
end
`

/** Tells all processes of a change in the step that makes it: so what is heard last is how it is. */
const ANNOUNCE = `
local function announce(text) redis.call('PUBLISH', N .. 'all', text) end
`

export const SHARED = { WAKE, ENQUEUE, DEDUPE, CANCEL, AWAIT, PRUNE, ANNOUNCE } as const

/** Names the two prefixes that every script is given as its keys. */
export const PREFIXES = `
local P, N = KEYS[1], KEYS[2]
`
