/**
 * The calls that a queue makes to what was handed to it, counted by kind, and the one of them that fails.
 *
 * Two sorts. *Services* (clock, random) are asked for an answer that the queue cannot do without. *User code* (handlers,
 * schemas, listeners, accessors of values) is there to fail.
 */

/** What a clock and a source of random numbers are asked. */
const SERVICES = ['clock.now', 'clock.wallNow', 'clock.setTimer', 'clock.clearTimer', 'random.next'] as const

/** Code of users. A filter is a listener that is asked at once, a reader one that iterates; an accessor is a getter or a method of a value. */
const USER_CODE = ['handler', 'schema', 'filter', 'reader', 'onFault', 'accessor'] as const

export const KINDS = [...SERVICES, ...USER_CODE] as const

export type CallKind = (typeof KINDS)[number]

/**
 * How a call fails: it throws; rejects where it may answer later; does all that it should and then throws; throws, as do
 * all later calls of its kind; or never answers.
 */
export type FaultMode = 'throws' | 'rejects' | 'done-then-throws' | 'from-then-on' | 'hangs'

const ONCE: readonly FaultMode[] = ['throws']
const ONCE_OR_ALWAYS: readonly FaultMode[] = ['throws', 'from-then-on']

/** A service that fails for ever leaves nothing to judge; code that has to answer at once cannot hang. */
export const MODES: Readonly<Record<CallKind, readonly FaultMode[]>> = {
  'clock.now': ONCE,
  'clock.wallNow': ONCE,
  'clock.setTimer': ONCE,
  'clock.clearTimer': ONCE,
  'random.next': ONCE,
  handler: ['throws', 'rejects', 'done-then-throws', 'from-then-on', 'hangs'],
  schema: ['throws', 'rejects', 'from-then-on', 'hangs'],
  filter: ONCE_OR_ALWAYS,
  reader: ONCE_OR_ALWAYS,
  onFault: ONCE_OR_ALWAYS,
  accessor: ONCE_OR_ALWAYS,
}

/** The `k`-th call (from 1) of a kind fails. */
export type Fault = { readonly kind: CallKind; readonly k: number; readonly mode: FaultMode }

export const isService = (kind: CallKind): boolean => (SERVICES as readonly CallKind[]).includes(kind)

/** What the failing call throws. */
class PlantedFault extends Error {}

/** Where a call came from, as a line of a stack; noted when sites are wanted. */
export type Site = { readonly kind: CallKind; readonly stack: string }

/** Far more than any scenario makes: then some loop has no end, and to throw is the only way out of it. */
const MOST_CALLS = 20_000

/** Frames from a service or a piece of user code up to the queue's own. */
const FRAMES = 14

export class Calls {
  readonly fault: Fault | undefined
  readonly error = new PlantedFault('the planted fault')
  readonly counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<CallKind, number>
  /** How often a call failed. */
  hits = 0
  #all = 0
  /** Stacks of the calls, when they are wanted. */
  readonly sites: Site[] | undefined

  constructor(fault?: Fault, notesSites = false) {
    this.fault = fault
    this.sites = notesSites ? [] : undefined
  }

  /** Counts a call. Gives how it fails; undefined when it does not. */
  next(kind: CallKind): FaultMode | undefined {
    if (++this.#all > MOST_CALLS) throw new Error(`more than ${MOST_CALLS} calls: some loop has no end`)
    const n = ++this.counts[kind]
    if (this.sites !== undefined) this.#note(kind)
    const { fault } = this
    if (fault === undefined || fault.kind !== kind) return undefined
    if (fault.mode === 'from-then-on' ? n < fault.k : n !== fault.k) return undefined
    this.hits++
    return fault.mode
  }

  /** Counts a call that can only answer or throw. */
  now(kind: CallKind): void {
    if (this.next(kind) !== undefined) throw this.error
  }

  /** Whether an error is the planted one, or came of it. */
  isPlanted(error: unknown): boolean {
    for (let depth = 0, at = error; depth < 8 && at instanceof Error; depth++, at = at.cause) {
      if (at === this.error) return true
    }
    return false
  }

  #note(kind: CallKind): void {
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = FRAMES
    this.sites?.push({ kind, stack: new Error('a call').stack ?? '' })
    Error.stackTraceLimit = stackTraceLimit
  }
}
