/**
 * Adds a command wholly or not at all: same id, dedupe and capacity are looked at in the step that adds it. What happens
 * to a command that it replaces is answered too, so that those who wait for that one are told.
 */
export const ADD = `
local function outcomeOf(P, id)
  return redis.call('HMGET', P .. id, 'name', 'data', 'laneBare', 'finishedOn', 'returnvalue', 'failedReason',
    'laneState', 'laneError', 'laneReply', 'timestamp', 'lane')
end

-- where a job of this id is, over all lanes
local function findJob(N, P, id)
  if redis.call('EXISTS', P .. id) == 1 then return P end
  for _, base in ipairs(redis.call('HVALS', N .. 'bases')) do
    if redis.call('EXISTS', base .. id) == 1 then return base end
  end
end

local function store(add, fields)
  redis.call('HSET', P .. add.id, unpack(fields))
  if add.deadline == '' then return end
  redis.call('ZADD', P .. '~deadlines', add.deadline, add.id)
  redis.call('HSET', P .. '~lane', 'hasDeadlines', '1')
end

local function addNow(add, fields)
  local given = cmsgpack.pack({P, add.id, add.name, tonumber(add.createdAt)})
  local delay = tonumber(add.delay)
  local opts = {priority = tonumber(add.priority), attempts = 1}
  if delay > 0 then
    opts.delay = delay
    addDelayedJob({P .. 'marker', P .. 'meta', P .. 'id', P .. 'delayed', P .. 'completed', P .. 'events'},
      {given, add.data, cmsgpack.pack(opts)})
  else
    addPrioritizedJob({P .. 'marker', P .. 'meta', P .. 'id', P .. 'prioritized', P .. 'delayed', P .. 'completed',
      P .. 'active', P .. 'events', P .. 'pc'}, {given, add.data, cmsgpack.pack(opts)})
  end
  store(add, fields)
end

-- it follows the owner of its dedupe id: kept, and in none of the sets that are claimed from
local function park(add, fields)
  redis.call('HSET', P .. add.id, 'name', add.name, 'data', add.data, 'opts',
    '{"priority":' .. add.priority .. ',"attempts":1}', 'timestamp', add.createdAt, 'delay', 0, 'priority', add.priority)
  redis.call('XADD', P .. 'events', '*', 'event', 'added', 'jobId', add.id, 'name', add.name)
  redis.call('ZADD', P .. '~parked', add.createdAt, add.id)
  store(add, fields)
end

local function isFullOfWaiting(P)
  local capacity = redis.call('HGET', P .. '~lane', 'capacity')
  if not capacity then return false end
  local waiting = redis.call('LLEN', P .. 'wait') + redis.call('ZCARD', P .. 'prioritized')
    + redis.call('ZCARD', P .. 'delayed') + redis.call('ZCARD', P .. '~parked')
  return waiting >= tonumber(capacity) and capacity
end

-- whose the dedupe id is, unless its window has ended or it is gone
local function ownerOf(hold, now)
  local has = redis.call('HMGET', hold, 'base', 'job', 'until', 'isSettled')
  if not has[1] then return end
  local isOver = has[4] and tonumber(has[3]) <= tonumber(now)
  if isOver or (not has[4] and redis.call('EXISTS', has[1] .. has[2]) == 0) then
    redis.call('DEL', hold)
    return
  end
  return {base = has[1], job = has[2], isSettled = has[4]}
end

local function hasStarted(owner)
  return tonumber(redis.call('HGET', owner.base .. owner.job, 'ats') or '0') > 0
end
`

/**
 * ARGV: 1 job id, 2 type, 3 data, 4 createdAt, 5 priority, 6 delay, 7 now, 8 replyTo or '', 9 '1' for an id of the
 * submitter's, 10 '1' when it was sent before, 11 deadline or '', 12 dedupe id or '', 13 mode, 14 end of its window or 0,
 * 15 reason for what it replaces, 16 that as an error, from 17 on fields of the job and their values.
 */
export const ADD_BODY = `
local add = {id = ARGV[1], name = ARGV[2], data = ARGV[3], createdAt = ARGV[4], priority = ARGV[5], delay = ARGV[6],
  deadline = ARGV[11]}
local now, replyTo = ARGV[7], ARGV[8]
local fields = {unpack(ARGV, 17)}
if ARGV[9] == '1' then
  local base = findJob(N, P, add.id)
  if base then
    local known = outcomeOf(base, add.id)
    if ARGV[10] == '1' and known[9] == replyTo and known[10] == add.createdAt then return {'accepted'} end
    if not known[4] then await(base .. add.id, replyTo) end
    return {'same', base, add.id, known}
  end
elseif ARGV[10] == '1' and redis.call('EXISTS', P .. add.id) == 1 then
  return {'accepted'}
end
local hold = N .. 'dedupe:' .. ARGV[12]
local owner = ARGV[12] ~= '' and ownerOf(hold, now)
local mode = ARGV[13]
if owner and (mode == 'drop' or owner.isSettled or (mode == 'replace' and hasStarted(owner))) then
  if not owner.isSettled then await(owner.base .. owner.job, replyTo) end
  return {'duplicate', owner.base, owner.job, outcomeOf(owner.base, owner.job)}
end
local isReplacing = owner and not hasStarted(owner)
if not isReplacing then
  local capacity = isFullOfWaiting(P)
  if capacity then return {'full', capacity} end
end
local told = false
if ARGV[12] == '' then
  addNow(add, fields)
elseif not owner then
  redis.call('HSET', hold, 'base', P, 'job', add.id, 'until', ARGV[14])
  addNow(add, fields)
elseif isReplacing then
  redis.call('HSET', hold, 'base', P, 'job', add.id)
  addNow(add, fields)
  told = cancelWaiting(N, owner.base, owner.job, now, ARGV[15], ARGV[16])
else
  local earlier = redis.call('HMGET', hold, 'nextBase', 'nextJob')
  redis.call('HSET', hold, 'nextBase', P, 'nextJob', add.id, 'nextUntil', ARGV[14])
  park(add, fields)
  if earlier[1] then told = cancelWaiting(N, earlier[1], earlier[2], now, ARGV[15], ARGV[16]) end
end
return {'accepted', told}
`
