/** The names of what a queue measures. Per lane each has the lane's id after it: `lane.commands.completed.prompt`. */

/** Names by constant, as the reference has them; the second half is what operators ask for beyond those. */
export const METRIC_NAMES = {
  COMMANDS_SUBMITTED: 'lane.commands.submitted',
  COMMANDS_COMPLETED: 'lane.commands.completed',
  COMMANDS_FAILED: 'lane.commands.failed',
  COMMANDS_TIMEOUT: 'lane.commands.timeout',
  COMMANDS_RETRIED: 'lane.commands.retried',
  COMMANDS_DEAD_LETTERED: 'lane.commands.dead_lettered',
  QUEUE_DEPTH: 'lane.queue.depth',
  QUEUE_ACTIVE: 'lane.queue.active',
  COMMAND_LATENCY: 'lane.command.latency_ms',
  COMMAND_WAIT_TIME: 'lane.command.wait_time_ms',

  COMMANDS_STARTED: 'lane.commands.started',
  COMMANDS_CANCELLED: 'lane.commands.cancelled',
  COMMANDS_REJECTED: 'lane.commands.rejected',
  COMMANDS_DEDUPLICATED: 'lane.commands.deduplicated',
  COMMANDS_DEFERRED: 'lane.commands.deferred',
  COMMANDS_PREEMPTED: 'lane.commands.preempted',
  COMMANDS_ABANDONED: 'lane.commands.abandoned',
  BOOST_INVERSIONS: 'lane.boost.inversions',
  RATE_LIMITED_MS: 'lane.rate_limited_ms',
  QUEUE_DELAYED: 'lane.queue.delayed',
  QUEUE_ZOMBIES: 'lane.queue.zombies',
  QUEUE_OLDEST_AGE: 'lane.queue.oldest_age_ms',
  COMMAND_STOP_TIME: 'lane.command.stop_time_ms',
} as const

/** A name in `METRIC_NAMES`. */
export type MetricName = (typeof METRIC_NAMES)[keyof typeof METRIC_NAMES]

/** What a metric is. */
export type MetricKind = 'counter' | 'gauge' | 'histogram'

/** What each is, and what it means in a sentence. Gauges are per lane only; the others are over all lanes, too. */
export const METRICS: Readonly<Record<MetricName, { readonly kind: MetricKind; readonly help: string }>> = {
  'lane.commands.submitted': { kind: 'counter', help: 'Total commands submitted to lanes' },
  'lane.commands.started': { kind: 'counter', help: 'Total attempts started' },
  'lane.commands.completed': { kind: 'counter', help: 'Total commands completed successfully' },
  'lane.commands.failed': { kind: 'counter', help: 'Total commands that failed' },
  'lane.commands.timeout': { kind: 'counter', help: 'Total commands that failed by their timeout' },
  'lane.commands.cancelled': { kind: 'counter', help: 'Total commands cancelled or discarded' },
  'lane.commands.retried': { kind: 'counter', help: 'Total attempts that failed and were retried' },
  'lane.commands.deferred': { kind: 'counter', help: 'Total times a handler or a provider put a command off' },
  'lane.commands.dead_lettered': { kind: 'counter', help: 'Total commands kept as dead letters' },
  'lane.commands.rejected': { kind: 'counter', help: 'Total submits that were refused' },
  'lane.commands.deduplicated': { kind: 'counter', help: 'Total submits that were given an earlier run' },
  'lane.commands.preempted': { kind: 'counter', help: 'Total times a command gave its slot to a better lane' },
  'lane.commands.abandoned': { kind: 'counter', help: 'Total handlers that did not stop and were given up' },
  'lane.boost.inversions': {
    kind: 'counter',
    help: 'Total starts before a better lane that could have started, because of a deadline',
  },
  'lane.rate_limited_ms': {
    kind: 'counter',
    help: 'Milliseconds for which rate limits kept a lane from starting what it had a slot for',
  },
  'lane.queue.depth': { kind: 'gauge', help: 'Commands that wait for a slot' },
  'lane.queue.active': { kind: 'gauge', help: 'Commands that run' },
  'lane.queue.delayed': { kind: 'gauge', help: 'Commands that wait for their time' },
  'lane.queue.zombies': { kind: 'gauge', help: 'Handlers that go on although they were asked to stop' },
  'lane.queue.oldest_age_ms': {
    kind: 'gauge',
    help: 'For how long the oldest waiting command could have started, in milliseconds',
  },
  'lane.command.latency_ms': {
    kind: 'histogram',
    help: 'How long the attempt of a completed command ran, in milliseconds',
  },
  'lane.command.wait_time_ms': {
    kind: 'histogram',
    help: 'How long a command waited for a slot before an attempt, in milliseconds',
  },
  'lane.command.stop_time_ms': {
    kind: 'histogram',
    help: 'How long a handler went on after it was asked to stop, in milliseconds',
  },
}
