/**
 * Adds commands that need nothing looked at but the room of their lane: no id of the submitter's, no dedupe id, no delay.
 * What BullMQ's script does for each job is done once for all of them; the data is left as that script leaves it.
 */

/**
 * ARGV: 1 now, 2 replyTo, then of each command: job id, type, data, createdAt, priority, options or '', cost or '',
 * deadline or '', '1' when it has no payload.
 */
export const ADD_MANY_BODY = `
local count = (#ARGV - 2) / 9
local capacity = redis.call('HGET', P .. '~lane', 'capacity')
if capacity then
  local waiting = redis.call('LLEN', P .. 'wait') + redis.call('ZCARD', P .. 'prioritized')
    + redis.call('ZCARD', P .. 'delayed') + redis.call('ZCARD', P .. '~parked')
  count = math.max(0, math.min(count, tonumber(capacity) - waiting))
end
if count == 0 then return {0, capacity} end
local events = P .. 'events'
local most = redis.call('HGET', P .. 'meta', 'opts.maxLenEvents')
if not most then
  redis.call('HSET', P .. 'meta', 'opts.maxLenEvents', 10000)
  most = 10000
end
redis.call('INCRBY', P .. 'id', count)
local place = redis.call('INCRBY', P .. 'pc', count) - count
local places, deadlines = {}, {}
local function keep(fields, name, value)
  if value == '' then return end
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
for index = 1, count do
  local at = 2 + (index - 1) * 9
  local id, priority, deadline = ARGV[at + 1], ARGV[at + 5], ARGV[at + 8]
  local fields = {'name', ARGV[at + 2], 'data', ARGV[at + 3], 'opts', '{"priority":' .. priority .. ',"attempts":1}',
    'timestamp', ARGV[at + 4], 'delay', '0', 'priority', priority, 'lane', '1', 'laneReply', ARGV[2]}
  keep(fields, 'laneOptions', ARGV[at + 6])
  keep(fields, 'laneCost', ARGV[at + 7])
  keep(fields, 'laneDeadline', deadline)
  if ARGV[at + 9] == '1' then keep(fields, 'laneBare', '1') end
  redis.call('HSET', P .. id, unpack(fields))
  redis.call('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', ARGV[at + 2])
  redis.call('XADD', events, 'MAXLEN', '~', most, '*', 'event', 'waiting', 'jobId', id)
  places[2 * index - 1] = string.format('%.0f', tonumber(priority) * 4294967296 + place + index)
  places[2 * index] = id
  if deadline ~= '' then
    deadlines[#deadlines + 1] = deadline
    deadlines[#deadlines + 1] = id
  end
end
redis.call('ZADD', P .. 'prioritized', unpack(places))
if #deadlines > 0 then
  redis.call('HSET', P .. '~lane', 'hasDeadlines', '1')
  redis.call('ZADD', P .. '~deadlines', unpack(deadlines))
end
local meta = redis.call('HMGET', P .. 'meta', 'paused', 'concurrency')
if not meta[1] and not (meta[2] and redis.call('LLEN', P .. 'active') >= tonumber(meta[2])) then
  redis.call('ZADD', P .. 'marker', 0, '0')
end
return {count, capacity}
`
