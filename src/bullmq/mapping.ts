/**
 * What of Lane is what in BullMQ, and where the two differ. The adapter follows this table, the conformance suite cites
 * the gaps by their names, and `docs/` shows both.
 */

/** One line of the table: a thing of ours, and what stands for it there; on Postgres, where that is something else. */
export type Mapped = { readonly ours: string; readonly theirs: string; readonly onPostgres?: string }

/** Ours and theirs. */
export const MAPPING: readonly Mapped[] = [
  {
    ours: 'namespace',
    theirs: 'prefix `{namespace}`: a hash tag, so that all lanes share a slot of a cluster',
    onPostgres: 'schema of that name, with tables of ours (`lane_…`) beside those of BullMQ',
  },
  { ours: 'lane', theirs: 'queue of the same name, escaped where BullMQ takes no such name' },
  { ours: 'command', theirs: 'job' },
  {
    ours: 'command id',
    theirs: 'job id, escaped where BullMQ takes no such id; `bull:<lane>:<job id>` for a foreign job',
  },
  { ours: 'command type', theirs: 'job name' },
  {
    ours: 'payload',
    theirs: 'job data; `null` and the field `laneBare` where there is none',
    onPostgres:
      'job data for others to see; letter for letter in `lane_command`, since `jsonb` keeps no text as it was',
  },
  { ours: 'priority p', theirs: 'priority p + 1: 0 would go ahead of every other' },
  { ours: 'dueAt, delay of a retry, snooze', theirs: 'delayed set' },
  {
    ours: 'options, deadline, cost, dedupe, replyTo',
    theirs: 'fields of the job hash whose names begin with `lane`',
    onPostgres: 'fields of the same names in `lane_command`',
  },
  {
    ours: 'claim',
    theirs: 'moveToActive, in one script with the rate limits; what is plain as it does, many at once',
    onPostgres: 'move_to_active, in one transaction with the rate limits',
  },
  { ours: 'lease and token', theirs: 'lock of the job and its value' },
  {
    ours: 'settle',
    theirs: 'moveToFinished, in one script with the next claim; what is plain as it does, many at once',
    onPostgres: 'move_to_completed or move_to_failed, in one transaction with the next claim',
  },
  {
    ours: 'charge',
    theirs: 'keys of ours for the rate limits; the field `laneCharged` has the last under a lock',
    onPostgres: 'rows of `lane_rate`; the field `laneCharged` has the last under a lock',
  },
  { ours: 'result', theirs: 'returnvalue' },
  { ours: 'failed, timed_out, cancelled', theirs: 'failed; the field `laneState` tells them apart' },
  { ours: 'delay', theirs: 'moveToDelayed' },
  {
    ours: 'release',
    theirs:
      'moveJobFromActiveToWait, then the list of those without a priority: the head of its lane, no attempt spent',
    onPostgres: 'move_active_to_wait, then the place before all others',
  },
  {
    ours: 'recovery of a lost lease',
    theirs: 'moveStalledJobsToWait, then changePriority',
    onPostgres: 'an update of our own: BullMQ’s takes two rounds, and forgets the place',
  },
  { ours: 'recoveries', theirs: 'stalled counter of the job' },
  { ours: 'pause, resume', theirs: 'pause and resume of the queue' },
  { ours: 'maxConcurrency', theirs: 'global concurrency of the queue' },
  { ours: 'wake-up', theirs: 'marker of the queue', onPostgres: 'NOTIFY of `bullmq_jobs`' },
  { ours: 'progress reported by a handler', theirs: 'progress of the job' },
  { ours: 'events of all processes', theirs: 'event stream of each queue', onPostgres: 'table of events' },
  { ours: 'dead letter', theirs: 'failed job, and a letter of its own that outlives the retention of failed jobs' },
]

/** Where BullMQ does not do what a lane in one process does. The ids are cited by tests. */
export const GAPS = {
  recovered_place:
    'On Redis a recovered command comes first among those of its priority, not at the place of its arrival: the sorted set forgets the place of what is claimed.',
  delayed_place:
    'On Redis a command whose delay is over stands behind those of its priority that are there: its place is made when it is due.',
  lifo: "Lanes with order 'lifo' are not shared: priorities are kept in a set that knows only arrival.",
  keys: 'Fairness between keys and limits per key are not shared: BullMQ has no keys outside its paid version.',
  group_objects: 'A RateLimitGroup object is of one process; shared lanes share a limit by the name of its group.',
  group_line:
    'Lanes that share a rate limit are served in the order in which workers ask: no lane keeps tokens back for a better one.',
  foreign_lifo: 'A foreign job without a priority goes ahead of every command of its lane, as BullMQ has it.',
  flow_parents:
    'A foreign job that waits for its children is not listed and cannot be cancelled until they have ended.',
  cluster_events:
    'Events of all processes do not tell of what was preempted, deduplicated, refused or configured; a claim is told as a start, also by a worker without a handler.',
  postgres_events: 'On Postgres nobody is told how many events are lost when more come than its table keeps.',
  postgres_text:
    'On Postgres BullMQ’s own tools see a lost-character sign where a payload or a result has a NUL or half of a surrogate pair; Lane does not.',
  list_moves: 'A page of a list may miss a command, or show it twice, when it moves between two pages.',
} as const

/** Name of a gap. */
export type Gap = keyof typeof GAPS
