/** What is done to commands beside running them: leases, sweeps, cancels, lanes, letters, looks. */

/** ARGV: lease in ms, then job id and token of each. Answers per lease whether it is held, and why it is to be cancelled. */
export const RENEW_BODY = `
local answers = {}
for index = 2, #ARGV, 2 do
  local id, key = ARGV[index], P .. ARGV[index]
  if redis.call('GET', key .. ':lock') == ARGV[index + 1] then
    redis.call('PEXPIRE', key .. ':lock', ARGV[1])
    redis.call('SREM', P .. 'stalled', id)
    table.insert(answers, '1')
    table.insert(answers, redis.call('HGET', key, 'laneCancel'))
  else
    table.insert(answers, '0')
    table.insert(answers, false)
  end
end
return answers
`

/** ARGV: job id, token, then fields of the job and their values. Answers whether the lease was held. */
export const SAVE_BODY = `
local key = P .. ARGV[1]
if redis.call('GET', key .. ':lock') ~= ARGV[2] then return 0 end
redis.call('HSET', key, unpack(ARGV, 3))
return 1
`

/**
 * ARGV: now, ms between two sweeps, how many settled ones are kept, for how many seconds. Gives back what nobody holds any
 * more, first of its priority. Removes what is kept too long, too: what is cancelled while it waits is settled by a step
 * that removes nothing.
 */
export const SWEEP_BODY = `
if redis.call('EXISTS', P .. 'stalled-check') == 1 then return 0 end
local lost = moveStalledJobsToWait({P .. 'stalled', P .. 'wait', P .. 'active', P .. 'stalled-check', P .. 'meta',
  P .. 'paused', P .. 'marker', P .. 'events', P .. 'repeat'}, {'1000000000', P, ARGV[1], ARGV[2]})
for _, id in ipairs(lost) do
  redis.call('HSET', P .. id, 'laneLost', '1')
  waitsAgain(P, id)
  local priority = tonumber(redis.call('HGET', P .. id, 'priority') or '0')
  if priority > 0 then
    changePriority({P .. 'wait', P .. 'paused', P .. 'meta', P .. 'prioritized', P .. 'active', P .. 'pc', P .. 'marker'},
      {priority, P, id, '1'})
  end
end
if #lost > 0 then wake(P) end
for _, set in ipairs({'completed', 'failed'}) do
  local rounds = 0
  repeat
    rounds = rounds + 1
  until not prune(P, set, tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])) or rounds == 10
end
return #lost
`

/** ARGV: job id, reason, that as an error, now, prefix of the lane or '', '1' for a foreign job. */
export const CANCEL_BODY = `
local bases = {ARGV[5]}
if ARGV[5] == '' then bases = redis.call('HVALS', N .. 'bases') end
for _, base in ipairs(bases) do
  local key = base .. ARGV[1]
  local known = redis.call('HMGET', key, 'name', 'finishedOn', 'lane')
  if known[1] and (known[3] ~= false) == (ARGV[6] == '0') then
    if known[2] then return {'too_late'} end
    local told = cancelWaiting(N, base, ARGV[1], ARGV[4], ARGV[2], ARGV[3])
    if told then return {'cancelled', told} end
    if not redis.call('LPOS', base .. 'active', ARGV[1]) then return {'too_late'} end
    redis.call('HSET', key, 'laneCancel', ARGV[2])
    return {'requested'}
  end
end
return {'too_late'}
`

/**
 * Takes lanes in, all or none. ARGV: '1' to overwrite, then of each: queue, its prefix, limits as text, what is announced
 * when they were others, concurrency or '', capacity or '', rate limits or ''. Answers the limits of the lanes that are
 * known with others, queue by queue.
 */
export const OPEN_BODY = `
local others, isOther = {}, {}
for at = 2, #ARGV, 7 do
  local known = redis.call('HGET', N .. 'lanes', ARGV[at])
  if known and known ~= ARGV[at + 2] then
    table.insert(others, ARGV[at])
    table.insert(others, known)
    isOther[at] = true
  end
end
if ARGV[1] == '0' and #others > 0 then return others end
local function keep(key, field, value)
  if value == '' then redis.call('HDEL', key, field) else redis.call('HSET', key, field, value) end
end
for at = 2, #ARGV, 7 do
  local base = ARGV[at + 1]
  redis.call('HSET', N .. 'lanes', ARGV[at], ARGV[at + 2])
  redis.call('HSET', N .. 'bases', ARGV[at], base)
  keep(base .. 'meta', 'concurrency', ARGV[at + 4])
  keep(base .. '~lane', 'capacity', ARGV[at + 5])
  keep(base .. '~lane', 'rate', ARGV[at + 6])
  wake(base)
  if isOther[at] then announce(ARGV[at + 3]) end
end
return others
`

/** ARGV: 'paused' or 'resumed', '1' to tell the event stream, what is announced. Answers how many calls more it takes. */
export const PAUSE_BODY = `
local isPaused = ARGV[1] == 'paused'
local left = pause({P .. (isPaused and 'wait' or 'paused'), P .. (isPaused and 'paused' or 'wait'), P .. 'meta',
  P .. 'prioritized', P .. 'events', P .. 'delayed', P .. 'marker'}, {ARGV[1], ARGV[2]})
if left == 0 then announce(ARGV[3]) end
return left
`

/** ARGV: ms. A hold that ends earlier than the present one changes nothing. */
export const HOLD_BODY = `
if redis.call('PTTL', P .. '~hold') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', P .. '~hold', '1', 'PX', ARGV[1])
redis.call('HSET', P .. '~lane', 'isHeld', '1')
return 1
`

/** ARGV: ids of commands. Answers those whose letter was there. */
export const REMOVE_LETTERS_BODY = `
local removed = {}
for _, id in ipairs(ARGV) do
  local letter = redis.call('HGET', N .. 'letters', id)
  if letter then
    redis.call('HDEL', N .. 'letters', id)
    redis.call('ZREM', N .. 'letterorder', id)
    redis.call('HINCRBY', N .. 'lettercounts', cjson.decode(letter)[1], -1)
    table.insert(removed, id)
  end
end
return removed
`

/** Where a job stands. */
const STATE = `
local function stateOf(P, id)
  local due = redis.call('ZSCORE', P .. 'delayed', id)
  if due then return 'delayed', string.format('%.0f', math.floor(tonumber(due) / 4096)) end
  -- it follows the owner of its dedupe id
  if redis.call('ZSCORE', P .. '~parked', id) then return 'delayed', '' end
  if redis.call('LPOS', P .. 'active', id) then return 'active', '' end
  return 'pending', ''
end
`

/** ARGV: job id, prefix of the lane or ''. Answers prefix, state, when it is due, and its fields. */
export const FIND_BODY = `${STATE}
local bases = {ARGV[2]}
if ARGV[2] == '' then bases = redis.call('HVALS', N .. 'bases') end
for _, base in ipairs(bases) do
  if redis.call('EXISTS', base .. ARGV[1]) == 1 then
    local state, due = stateOf(base, ARGV[1])
    return {base, state, due, redis.call('HGETALL', base .. ARGV[1])}
  end
end
return false
`

/** ARGV: set, first, last. Answers id, score and fields of each. */
export const LIST_BODY = `
local answers = {}
local key = P .. ARGV[1]
local isList = redis.call('TYPE', key).ok == 'list'
local ids
if isList then
  -- the next one stands last
  ids = redis.call('LRANGE', key, -tonumber(ARGV[3]) - 1, -tonumber(ARGV[2]) - 1)
else
  ids = redis.call('ZRANGE', key, ARGV[2], ARGV[3])
end
for index = 1, #ids do
  local id = isList and ids[#ids + 1 - index] or ids[index]
  table.insert(answers, id)
  table.insert(answers, isList and '' or redis.call('ZSCORE', key, id))
  table.insert(answers, redis.call('HGETALL', P .. id))
end
return answers
`
