/** One worker file with a body for each test: the payload says which. */
import { setTimeout as sleep } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'

/**
 * @typedef {{
 *   does: string, what: string, value: unknown, go: SharedArrayBuffer, to: number, code: number, cost: number,
 *   state: unknown, states: unknown[], values?: unknown[], lines?: string[], command: { type: string },
 * }} Payload
 * @typedef {import('@a3s-lab/lane/workers').ThreadContext<Payload>} Context
 * @typedef {Error & { code: string }} Reason
 */

/** Own error class: its name crosses, its class does not. */
class OutOfPaper extends Error {
  /** @override */
  name = 'OutOfPaper'
  tray = 2
}

let loads = 0
let bodies = 0
loads++

const retryAfter = Symbol.for('@a3s-lab/lane.advice')
const outcome = Symbol.for('@a3s-lab/lane.outcome')

/** @type {Record<string, (payload: Payload, context: Context) => unknown>} */
const table = {
  echo: ({ value }) => value,
  thread: () => threadId,
  counts: () => ({ loads, bodies }),
  facts: (payload, { id, laneId, commandType, key, attempt, restored, payload: own, ...rest }) => ({
    id,
    laneId,
    commandType,
    key,
    attempt,
    restored,
    isSame: own === payload,
    more: Object.keys(rest),
  }),
  hasQueue: (_, context) => 'queue' in context,
  // `for (;;) {}`: sees nothing, hears nothing
  deaf: (_, { progress }) => {
    progress('started')
    for (;;) {}
  },
  // never waits, but looks
  busyUntilAborted: (_, { signal, progress }) => {
    progress('started')
    while (!signal.aborted) {}
    const { code } = /** @type {Reason} */ (signal.reason)
    return code
  },
  busyUntilThrown: (_, { signal, progress }) => {
    progress('started')
    for (;;) signal.throwIfAborted()
  },
  untilAborted: (_, { signal, progress, log }) => {
    progress('started')
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        const { name, code, message } = /** @type {Reason} */ (signal.reason)
        log(`${name} ${code} ${message}`)
        reject(signal.reason)
      })
      keepAlive()
    })
  },
  untilTold: async ({ go }, { progress }) => {
    progress('started')
    while (Atomics.load(new Int32Array(go), 0) === 0) await sleep(1)
    return threadId
  },
  countsUp: async ({ to }, { checkpoint, restored, attempt, progress }) => {
    const from = /** @type {number} */ (restored ?? 0)
    for (let n = from + 1; n <= to; n++) {
      if (n === 3) progress('started')
      await checkpoint(n)
      // Work that hears nothing between its safe points.
      for (let work = 0; work < 2e5; work++) Math.sqrt(work)
    }
    return { from, attempt, threadId }
  },
  saves: async ({ state }, { checkpoint }) => {
    await checkpoint(state)
    return 'saved'
  },
  savesAndFails: ({ states }, { checkpoint, restored, attempt }) => {
    if (attempt > 1) return restored
    for (const state of states) void checkpoint(state)
    throw new Error('after the checkpoint')
  },
  changesRestored: async (_, context) => {
    if (context.attempt === 1) {
      await context.checkpoint({ n: 1 })
      throw new Error('again')
    }
    const first = /** @type {{ n: number }} */ (context.restored)
    first.n = 2
    return context.restored
  },
  reports: ({ values, lines }, { progress, log }) => {
    for (const value of values ?? []) progress(value)
    for (const line of lines ?? []) log(line)
    return 'reported'
  },
  progressOfFunction: (_, { progress }) => progress(() => 1),
  charges: ({ cost }, { charge }) => {
    charge(cost)
    return 'charged'
  },
  yields: async (_, context) => {
    context.progress('started')
    await context.yield()
    return threadId
  },
  runs: async ({ command }, { run }) => ['parent got', await run('work', command)],
  runsFunction: (_, { run }) => run('work', /** @type {any} */ (() => 1)),
  keepsContext: (_, context) => {
    setTimeout(() => context.log('too late'), 0)
    setTimeout(() => void context.checkpoint(1), 0)
    return 'ended'
  },
  exits: ({ code }) => process.exit(code),
  exitsOnce: ({ code }, { attempt }) => (attempt === 1 ? process.exit(code) : 'came back'),
  throwsLater: ({ value }) => {
    setTimeout(() => {
      // biome-ignore lint/style/useThrowOnlyError: what ends the thread may be anything
      throw value === 'nothing' ? undefined : new TypeError('thrown later')
    })
    return new Promise(keepAlive)
  },
  rejectsUnheard: () => {
    void Promise.reject(new Error('nobody listens'))
    return new Promise(keepAlive)
  },
  runsOutOfMemory: () => {
    const kept = []
    for (;;) kept.push(new Array(1e5).fill(kept.length))
  },
  throws: ({ what }) => Promise.reject(thrown[what]?.()),
  throwsOnce: (_, { attempt }) => {
    if (attempt === 1) throw new Error('the first time')
    return attempt
  },
  returns: ({ what }) => returned[what]?.(),
  snoozesOnce: (_, { attempt }) => (attempt === 1 ? brand({ kind: 'snooze', delayMs: 1 }) : 'awake'),
  snoozesWrong: () => brand({ kind: 'snooze', delayMs: () => 1 }),
  discards: () => brand({ kind: 'discard', reason: 'nobody needs it' }),
}

/** @type {Record<string, () => unknown>} */
const thrown = {
  own: () => new OutOfPaper('no paper', { cause: new RangeError('tray 2 is empty', { cause: 'the cat' }) }),
  type: () => new TypeError('wrong type'),
  final: () => Object.assign(new Error('for good'), { name: 'UnrecoverableError', [retryAfter]: 'unrecoverable' }),
  later: () =>
    Object.assign(new Error('later'), {
      name: 'RetryAfterError',
      [retryAfter]: 'retry-after',
      delayMs: 5,
      scope: 'command',
    }),
  429: () => Object.assign(new Error('slow down'), { status: 429, headers: new Headers({ 'retry-after-ms': '7' }) }),
  plain429: () => ({ statusCode: 503, headers: { 'retry-after-ms': '7' } }),
  response429: () =>
    Object.assign(new Error('axios'), { response: { status: 429, headers: { 'retry-after-ms': '7' }, request() {} } }),
  text: () => 'just text',
  nothing: () => undefined,
  null: () => null,
  function: () => () => 1,
  symbol: () => Symbol('s'),
  traps: () =>
    new Proxy(new Error('trapped'), {
      get() {
        throw new Error('trap')
      },
      getPrototypeOf() {
        throw new Error('trap')
      },
      ownKeys() {
        throw new Error('trap')
      },
    }),
  getters: () =>
    Object.defineProperty({ message: 'seen' }, 'cause', {
      enumerable: true,
      get() {
        throw new Error('trap')
      },
    }),
  loop: () => {
    const error = new Error('around')
    error.cause = error
    return error
  },
  aggregate: () => new AggregateError([new Error('one'), 'two'], 'both'),
  timeout: () => new DOMException('too slow', 'TimeoutError'),
}

/** @type {Record<string, () => unknown>} */
const returned = {
  object: () => ({ deep: [1, { two: new Map([[2, new Date(0)]]) }] }),
  nothing: () => undefined,
  function: () => () => 1,
  symbol: () => Symbol('s'),
  withFunction: () => ({ deep: { call() {} } }),
  getter: () => ({
    get trap() {
      throw new Error('trap')
    },
  }),
  proxy: () =>
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('trap')
        },
        ownKeys: () => {
          throw new Error('trap')
        },
      },
    ),
  thenable: () =>
    Object.defineProperty({}, 'then', { value: (/** @type {(value: unknown) => void} */ done) => done('then') }),
  bytes: () => new Uint8Array(1e6).fill(7),
}

/** @param {object} what */
const brand = (what) => Object.defineProperty(what, outcome, { value: true })

function keepAlive() {
  setTimeout(keepAlive, 1000)
}

/**
 * @param {Payload} payload
 * @param {Context} context
 */
export default (payload, context) => {
  bodies++
  const body = table[payload.does]
  if (body === undefined) throw new Error(`no body does ${payload.does}`)
  return body(payload, context)
}
