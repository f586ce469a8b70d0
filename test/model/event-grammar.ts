/**
 * The order of one command's events: `submitted [delayed]`, then rounds that begin with `started` and end in `retry` or
 * `delayed`, then exactly one end. After the end only `redriven` of its letter, `deduplicated` submits of its id, and the
 * fault of a body that was given up.
 */

/** Which events may follow which, `(` standing for the beginning. Those left out may stand anywhere but first. */
const AFTER: Readonly<Record<string, readonly string[]>> = {
  '(': ['submitted'],
  // a command without a handler fails before it starts
  submitted: ['delayed', 'started', 'cancelled', 'dead_lettered', 'failed'],
  delayed: ['started', 'cancelled', 'dead_lettered', 'failed'],
  started: ['retry', 'delayed', 'completed', 'cancelled', 'dead_lettered', 'failed', 'timeout'],
  retry: ['started', 'cancelled', 'dead_lettered', 'failed'],
  dead_lettered: ['failed', 'timeout'],
  completed: [],
  cancelled: [],
  failed: ['redriven'],
  timeout: ['redriven'],
  redriven: [],
}

const ANYWHERE = ['deduplicated', 'fault', 'progress']

/** What breaks the grammar, in words; undefined when nothing does. */
export function grammarFault(events: readonly string[]): string | undefined {
  let last = '('
  for (const event of events) {
    if (ANYWHERE.includes(event) && last !== '(') continue
    if (AFTER[last]?.includes(event) !== true) return `${event} after ${last} in ${events.join(' ')}`
    last = event
  }
  return undefined
}
