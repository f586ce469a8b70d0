/**
 * All that one worker asks of one lane in one turn of its event loop: commands that are completed, and claims. What
 * BullMQ's scripts do for each job (limits, the stream's length, how many are kept) is done once here, which is what makes
 * a busy lane cheap for the server; the data is left as those scripts leave it. Whatever is not plain (a failure, a dead
 * letter, a dedupe id, a job of another program, a rate limit) goes through those scripts, one by one.
 */
export const TURN = `
local function maxEvents(P)
  local most = redis.call('HGET', P .. 'meta', 'opts.maxLenEvents')
  if most then return most end
  redis.call('HSET', P .. 'meta', 'opts.maxLenEvents', 10000)
  return 10000
end

-- a completed command of ours whose lock was looked at; '1' when its lease is lost
local function complete(P, now, lock, id, token, attempt, details, value)
  local key = P .. id
  if lock ~= token or redis.call('LREM', P .. 'active', -1, id) == 0 then return '1' end
  if value == '' then
    redis.call('HSET', key, 'laneToken', token, 'laneAttempt', attempt, 'laneDetails', details, 'laneState', 'completed',
      'laneBareResult', '1', 'returnvalue', 'null', 'finishedOn', now, 'atm', attempt)
    value = 'null'
  else
    redis.call('HSET', key, 'laneToken', token, 'laneAttempt', attempt, 'laneDetails', details, 'laneState', 'completed',
      'returnvalue', value, 'finishedOn', now, 'atm', attempt)
  end
  redis.call('XADD', P .. 'events', '*', 'event', 'completed', 'jobId', id, 'returnvalue', value, 'prev', 'active')
  return '0'
end

-- as one text where that can be told apart again: to read many small ones costs a worker much more
local function asText(fields)
  if string.find(table.concat(fields), '\\0', 1, true) then return fields end
  return table.concat(fields, '\\0')
end

-- the first of the lane, as many as may start; plain jobs of a lane that nothing but its concurrency limits
local function claimPlain(P, now, most, tokens, leaseMs, worker, hasDeadlines)
  local events = P .. 'events'
  local popped = redis.call('ZPOPMIN', P .. 'prioritized', most)
  local claims, ids = {}, {}
  for index = 1, #popped, 2 do ids[#ids + 1] = popped[index] end
  if #ids < most then redis.call('DEL', P .. 'pc') end
  if #ids == 0 then return claims end
  redis.call('LPUSH', P .. 'active', unpack(ids))
  for index, id in ipairs(ids) do
    local key = P .. id
    redis.call('SET', key .. ':lock', tokens[index], 'PX', leaseMs)
    redis.call('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
    local fields = redis.call('HGETALL', key)
    local starts = 1
    for at = #fields - 1, 1, -2 do
      if fields[at] == 'ats' then starts = tonumber(fields[at + 1]) + 1 end
    end
    redis.call('HSET', key, 'processedOn', now, 'pb', worker, 'ats', starts)
    claims[index] = {'claimed', id, asText(fields)}
  end
  if hasDeadlines then redis.call('ZREM', P .. '~deadlines', unpack(ids)) end
  return claims
end
`

/**
 * ARGV: 1 now, 2 lease in ms, 3 worker, 4 how many are kept, 5 for how many seconds, 6 number of ends; of each end: job id,
 * token, attempt, details, result as JSON ('' for none); then the tokens of the claims.
 */
export const TURN_BODY = `
local now, leaseMs, worker, ends = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[6])
local lost, settled, freed, lockKeys, locks, at = {}, {}, {}, {}, {}, 7
for index = 1, ends do lockKeys[index] = P .. ARGV[at + 5 * (index - 1)] .. ':lock' end
if ends > 0 then locks = redis.call('MGET', unpack(lockKeys)) end
for index = 1, ends do
  lost[index] = complete(P, ARGV[1], locks[index], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
  if lost[index] == '0' then
    settled[#settled + 1] = ARGV[1]
    settled[#settled + 1] = ARGV[at]
    freed[#freed + 1] = lockKeys[index]
  end
  at = at + 5
end
if #settled > 0 then
  redis.call('DEL', unpack(freed))
  redis.call('ZADD', P .. 'completed', unpack(settled))
  prune(P, 'completed', now, tonumber(ARGV[4]), tonumber(ARGV[5]))
  redis.call('XTRIM', P .. 'events', 'MAXLEN', '~', maxEvents(P))
end
local tokens = {unpack(ARGV, at)}
local claims, refused = {}, false
if #tokens > 0 then
  local settings = redis.call('HMGET', P .. '~lane', 'rate', 'isHeld', 'hasDeadlines')
  if redis.call('ZCARD', P .. 'delayed') > 0 then promoteDue(P, ARGV[1]) end
  local waits = redis.call('LLEN', P .. 'wait')
  if settings[1] or settings[2] or waits > 0 then
    for index, token in ipairs(tokens) do
      local answer = claim(P, ARGV[1], {token = token, leaseMs = leaseMs, name = worker})
      if answer[1] ~= 'claimed' then
        refused = answer
        break
      end
      claims[index] = answer
    end
  else
    local meta = redis.call('HMGET', P .. 'meta', 'paused', 'concurrency')
    local room = #tokens
    if meta[1] then room = 0
    elseif meta[2] then room = math.min(room, tonumber(meta[2]) - redis.call('LLEN', P .. 'active')) end
    if room > 0 then claims = claimPlain(P, ARGV[1], room, tokens, leaseMs, worker, settings[3]) end
    if #claims < #tokens then
      local first = redis.call('ZRANGE', P .. 'delayed', 0, 0, 'WITHSCORES')
      refused = refusal(P, {0, 0, 0, first[2] and tonumber(first[2]) / 4096 or 0})
    end
  end
end
-- what was refused is not asked for again by a marker of its own: that would go round and round
if not refused then wake(P) end
if ends > 0 and not isWaiting(P) and redis.call('LLEN', P .. 'active') == 0 then
  redis.call('XADD', P .. 'events', '*', 'event', 'drained')
end
return {lost, claims, refused}
`
