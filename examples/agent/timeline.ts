/** What became of each command of a session, and when: gathered from the session's events. */
import {
  type CheckedCall,
  type PermissionDecision,
  type PermissionPolicy,
  permissionCheck,
  type SessionEvent,
  type SessionEventType,
  type SessionLane,
} from '@a3s-lab/lane/session'

/** A stretch of a command's life, in milliseconds since the timeline's start. */
export type Span = { readonly what: 'waits' | 'runs'; readonly from: number; to: number }

export type Row = {
  readonly lane: SessionLane
  label: string
  /** Who does it. */
  who: string
  /** In order, without gaps; the last is open while `isOver` is false. */
  readonly spans: Span[]
  isOver: boolean
}

/** From the moment when nothing more started until that when it went on. */
export type Pause = { readonly from: number; to: number }

/** The events that it is made of. */
export const TIMELINE_EVENTS: readonly SessionEventType[] = [
  'queue.command.submitted',
  'queue.command.started',
  'queue.command.delayed',
  'queue.command.retry',
  'queue.command.preempted',
  'queue.command.completed',
  'queue.command.failed',
  'queue.command.timeout',
  'queue.command.cancelled',
  'control_acknowledged',
]

export class Timeline {
  readonly #rows = new Map<string, Row>()
  readonly pauses: Pause[] = []
  /** Commands that started while nothing was to start; there should be none. */
  startedInPause = 0
  /** Attempts that were repeats of failed ones. */
  retries = 0
  /** Attempts that were put off because a provider asked for it. */
  deferrals = 0
  #startedAt = Date.now()
  /** Who has taken which command: it may be taken before its events are read. */
  readonly #takers = new Map<string, string>()
  /** What the calls are called that were allowed and have no command yet, by lane, in order. */
  readonly #called: Record<SessionLane, string[]> = { control: [], query: [], execute: [], generate: [] }
  /** By the id of the call. */
  readonly #labels = new Map<string, string>()
  #modelCalls = 0
  #isPaused = false

  /** In the order of their submission. */
  get rows(): readonly Row[] {
    return [...this.#rows.values()]
  }

  /** Milliseconds since the start. */
  get now(): number {
    return Date.now() - this.#startedAt
  }

  /** The policy as a check that also notes what it allows: calls become commands in the order in which they are checked. */
  noting(policy: PermissionPolicy): (call: CheckedCall) => Promise<PermissionDecision> {
    const check = permissionCheck(policy)
    return async (call) => {
      const decision = await check(call)
      this.#labels.set(call.id, labelOf(call))
      if (decision === 'allow') this.#called[call.lane].push(labelOf(call))
      return decision
    }
  }

  /** What a call of the model is called; undefined for one that was not checked. */
  labelOfCall(id: string): string | undefined {
    return this.#labels.get(id)
  }

  /** Somebody has taken a command. */
  takenBy(commandId: string, who: string): void {
    this.#takers.set(commandId, who)
  }

  /** Notes events until there are no more. Time is counted from now on. */
  async read(events: AsyncIterable<SessionEvent>): Promise<void> {
    this.#startedAt = Date.now()
    for await (const event of events) this.#note(event, Date.parse(event.timestamp) - this.#startedAt)
  }

  #note(event: SessionEvent, at: number): void {
    if (event.type === 'control_acknowledged') this.#controlled(event.action, at)
    if (!('command_id' in event)) return
    const { command_id: id } = event
    if (event.type === 'queue.command.submitted') {
      this.#rows.set(id, this.#newRow(id, event.lane_id as SessionLane, at))
    }
    const row = this.#rows.get(id)
    if (row === undefined || row.isOver) return
    if (event.type === 'queue.command.started') this.#started(row, event.command_type, at)
    if (event.type === 'queue.command.retry') this.retries++
    if (event.type === 'queue.command.delayed' && event.reason === 'deferred') this.deferrals++
    if (STOPS.has(event.type)) turn(row, 'waits', at)
    if (!ENDS.has(event.type)) return
    turn(row, undefined, at)
    row.isOver = true
    row.who = this.#takers.get(id) ?? row.who
  }

  #newRow(id: string, lane: SessionLane, at: number): Row {
    const label = this.#label(id, lane)
    const who = lane === 'generate' ? 'model' : 'here'
    return { lane, label, who, spans: [{ what: 'waits', from: at, to: at }], isOver: false }
  }

  /** A command of the program has the name that it was given as its id; one of a turn that of its call. */
  #label(id: string, lane: SessionLane): string {
    if (id.includes(' ')) return id
    if (lane === 'generate') return `call ${++this.#modelCalls} of the model`
    return this.#called[lane].shift() ?? ''
  }

  #started(row: Row, type: string, at: number): void {
    if (row.label === '') row.label = type
    if (this.#isPaused && row.lane !== 'control') this.startedInPause++
    turn(row, 'runs', at)
  }

  #controlled(action: 'pause' | 'resume' | 'cancel', at: number): void {
    this.#isPaused = action === 'pause'
    if (action === 'pause') this.pauses.push({ from: at, to: Number.POSITIVE_INFINITY })
    const last = this.pauses.at(-1)
    if (action === 'resume' && last !== undefined) last.to = at
  }
}

const STOPS: ReadonlySet<string> = new Set(['queue.command.delayed', 'queue.command.retry', 'queue.command.preempted'])
const ENDS: ReadonlySet<string> = new Set([
  'queue.command.completed',
  'queue.command.failed',
  'queue.command.timeout',
  'queue.command.cancelled',
])

/** Ends the row's present stretch, and begins another. */
function turn({ spans }: Row, what: Span['what'] | undefined, at: number): void {
  const last = spans.at(-1)
  if (last !== undefined) last.to = at
  if (what !== undefined) spans.push({ what, from: at, to: at })
}

/** A call as one line: its tool, and the argument that says most. */
function labelOf({ name, args }: Pick<CheckedCall, 'name' | 'args'>): string {
  const what = args['command'] ?? args['pattern'] ?? args['path']
  const text = typeof what === 'string' ? what : ''
  return name === 'bash' ? text : `${name} ${text}`.trim()
}

/** How long a row has waited or run, in milliseconds. */
export const lengthOf = ({ spans }: Row, what: Span['what']): number =>
  spans.reduce((sum, span) => (span.what === what ? sum + span.to - span.from : sum), 0)

/** The most commands of these that ran at the same time. */
export function mostAtOnce(rows: readonly Row[]): number {
  const running = rows.flatMap(({ spans }) => spans.filter(({ what }) => what === 'runs'))
  const at = (instant: number): number => running.filter(({ from, to }) => from <= instant && instant < to).length
  return Math.max(0, ...running.map(({ from }) => at(from)))
}
