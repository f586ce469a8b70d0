/**
 * Names of lanes and commands as BullMQ can take them. It builds keys as `prefix:queue:id`, takes no colon and no integer
 * for an id, and has keys of its own in between: everything that might collide is escaped, and comes back letter for
 * letter.
 */

/** What BullMQ keeps beside the jobs of a queue: a job with such an id would overwrite it. */
const RESERVED = new Set([
  'active',
  'completed',
  'de',
  'delayed',
  'events',
  'failed',
  'id',
  'limiter',
  'marker',
  'meta',
  'metrics',
  'paused',
  'pc',
  'prioritized',
  'priority',
  'repeat',
  'stalled',
  'stalled-check',
  'wait',
  'waiting',
  'waiting-children',
])

/** Begins every escaped name and every key of ours. */
const ESCAPE = '~'
const PLAIN = /^[\w.-]+$/
const INTEGER = /^-?\d+$/
/** Begins the id of a command that a foreign program has added: its lane and the job's id follow. */
const FOREIGN = 'bull:'

/** The queue of a lane. */
export const queueNameOf = (laneId: string): string => (PLAIN.test(laneId) ? laneId : escaped(laneId))

/** The lane of a queue. */
export const laneIdOf = (queueName: string): string => unescaped(queueName)

/** The job of a command of this lane. */
export function jobIdOf(id: string, laneId: string): string {
  const foreign = foreignPrefix(laneId)
  if (id.startsWith(foreign)) return id.slice(foreign.length)
  return PLAIN.test(id) && !INTEGER.test(id) && !RESERVED.has(id) ? id : escaped(id)
}

/** The command of a job that was submitted by Lane. */
export const commandIdOf = (jobId: string): string => unescaped(jobId)

/** The command of a job that another program has added. Such ids are unique over all lanes. */
export const foreignIdOf = (jobId: string, laneId: string): string => foreignPrefix(laneId) + jobId

/** Whether an id names a foreign job: no submit may choose it. */
export const isForeignId = (id: string): boolean => id.startsWith(FOREIGN)

const foreignPrefix = (laneId: string): string => `${FOREIGN}${laneId}:`

/** UTF-16 unit by unit, so that every string has a form. */
function escaped(name: string): string {
  const text = name.replace(/[^\w.-]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return ESCAPE + text
}

function unescaped(name: string): string {
  if (!name.startsWith(ESCAPE)) return name
  return name.slice(1).replace(/%([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}
