/**
 * What is done to a queue so that the outcomes can be compared with those of another one: drawn from a seed, and such that
 * every outcome follows from what is submitted, whatever the time it takes and whoever runs it.
 */
import { type Random, RetryPolicy, type SubmitOptions } from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'

/** What a body does in one attempt. */
export type Step =
  | { readonly kind: 'return' | 'hang' }
  | { readonly kind: 'throw' | 'unrecoverable' | 'discard' | 'save and throw' | 'tell'; readonly text: string }
  | { readonly kind: 'snooze' | 'defer'; readonly ms: number }

/** What travels as the payload. */
export type Payload = {
  readonly name: string
  /** The steps of the attempts; later ones return. */
  readonly script: readonly Step[]
  readonly value: unknown
}

/** One submit. */
export type Submit = {
  readonly laneId: string
  readonly payload: Payload
  readonly options: SubmitOptions
  /** Its submitter cancels it as soon as it is accepted. */
  readonly isCancelled: boolean
}

export type Trace = {
  readonly seed: number
  readonly submits: readonly Submit[]
}

/** The lanes of every trace. In `single` the order of the starts is seen. */
export const lanes = {
  single: { priority: 0, maxConcurrency: 1 },
  narrow: { priority: 1, maxConcurrency: 2, maxDeferrals: 2 },
  wide: { priority: 2, maxConcurrency: 8, retry: RetryPolicy.fixed(1, 2) },
} as const

/** Nothing of a trace comes near it but a body that hangs. */
const TIMEOUT_MS = 60
/** Later than the trace lasts: who waits so long is cancelled meanwhile. */
const NEVER_MS = 600_000

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1.5,
  9_007_199_254_740_991,
  '',
  'lé😀\u2028"\\\n',
  [],
  {},
  [1, [2, [null]]],
  { nested: { list: ['a', 'b'], empty: {} }, 'a:b': 0 },
  { proto: 1, constructor: 'no', 'key with space': [{}] },
]

/** Names of its commands are no other trace's: several may be put through one queue at once. */
export function drawTrace(seed: number): Trace {
  const draw = new Draw(seededRandom(Math.imul(seed, 0x9e_37_79_b1) + 1))
  const count = 2 + draw.below(9)
  const submits = Array.from({ length: count }, (_, number) => drawSubmits(draw, `${seed}c${number}`)).flat()
  return { seed, submits }
}

class Draw {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  below(limit: number): number {
    return Math.floor(this.#random.next() * limit)
  }

  chance(share: number): boolean {
    return this.#random.next() < share
  }

  one<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T
  }
}

/** A command, and what is submitted beside it because of it. */
function drawSubmits(draw: Draw, name: string): Submit[] {
  const laneId = draw.one(Object.keys(lanes))
  const script = drawScript(draw)
  const payload = { name, script, value: draw.one(VALUES) }
  const options = { ...drawOptions(draw, name), ...(hangs(script) ? { timeoutMs: TIMEOUT_MS } : {}) }
  const submit = { laneId, payload, options, isCancelled: false }
  const share = draw.below(20)
  if (share === 0) return [{ ...submit, options: { ...options, delayMs: NEVER_MS }, isCancelled: true }]
  if (share === 1) return withId(draw, submit)
  if (share === 2) return withDuplicate(draw, submit)
  return [submit]
}

const hangs = (script: readonly Step[]): boolean => script.some(({ kind }) => kind === 'hang')

function drawScript(draw: Draw): Step[] {
  if (draw.chance(0.4)) return []
  const hang: Step = { kind: 'hang' }
  // a body that is not to hang has no limit of time
  if (draw.chance(0.08)) return draw.chance(0.5) ? [hang] : [{ kind: 'throw', text: 'first' }, hang]
  const steps: readonly Step[] = [
    { kind: 'throw', text: draw.one(['bad luck', 'lé😀', '']) },
    { kind: 'throw', text: 'again' },
    { kind: 'unrecoverable', text: 'for good' },
    { kind: 'discard', text: 'not needed' },
    { kind: 'save and throw', text: 'half done' },
    { kind: 'tell', text: 'a line' },
    { kind: 'snooze', ms: draw.below(4) },
    { kind: 'defer', ms: draw.below(4) },
    { kind: 'return' },
  ]
  return Array.from({ length: 1 + draw.below(4) }, () => draw.one(steps))
}

function drawOptions(draw: Draw, name: string): SubmitOptions {
  const options: { -readonly [Key in keyof SubmitOptions]: SubmitOptions[Key] } = {}
  if (draw.chance(0.4)) options.priority = draw.one([0, 1, 2, 1000, 2_097_150])
  if (draw.chance(0.5)) options.retry = RetryPolicy.fixed(draw.below(4), draw.below(5))
  if (draw.chance(0.15)) options.delayMs = 1 + draw.below(20)
  if (draw.chance(0.2)) options.metadata = { from: name, list: [1, null] }
  if (draw.chance(0.2)) options.key = draw.one(['anna', 'ben'])
  return options
}

/** An id of its own, and what comes with the same one: the same command again, or another one. */
function withId(draw: Draw, { options, ...rest }: Submit): Submit[] {
  const id = draw.one(['order 7', '42', 'a:b', `${rest.payload.name}-ü`])
  const submit = { ...rest, options: { ...options, id: `${id}/${rest.payload.name}` } }
  if (draw.chance(0.3)) return [submit]
  const other = { ...rest.payload, value: 'another' }
  return [submit, draw.chance(0.5) ? submit : { ...submit, payload: other }]
}

/** A dedupe id, and a second command that comes while the first waits: nothing starts before all is submitted. */
function withDuplicate(draw: Draw, { options, ...rest }: Submit): Submit[] {
  const dedupe = { id: rest.payload.name, mode: draw.one(['drop', 'replace', 'keep-last'] as const) }
  const submit = { ...rest, options: { ...options, dedupe } }
  const payload = { ...rest.payload, name: `${rest.payload.name}-again`, script: [] }
  return [submit, { ...submit, payload }]
}
