import { type LocalMetrics, METRIC_NAMES, type MetricName } from '@a3s-lab/lane'
import type { Checker, CheckerKind, SeenEvent } from '../checker.js'
import type { Picture } from '../picture.js'

/**
 * I7: the metrics say the same. At rest each counter is the number of the events that it counts, for each lane and over all
 * of them; gauges and counters keep the books; and what is timed is timed once per start, once per completion.
 */
export const metrics: CheckerKind = {
  name: 'metrics',
  invariants: ['I7'],
  make: () => new Books(),
}

/** What each event counts, by its name. */
const COUNTED: Readonly<Record<string, MetricName>> = {
  submitted: METRIC_NAMES.COMMANDS_SUBMITTED,
  started: METRIC_NAMES.COMMANDS_STARTED,
  completed: METRIC_NAMES.COMMANDS_COMPLETED,
  failed: METRIC_NAMES.COMMANDS_FAILED,
  timeout: METRIC_NAMES.COMMANDS_TIMEOUT,
  cancelled: METRIC_NAMES.COMMANDS_CANCELLED,
  retry: METRIC_NAMES.COMMANDS_RETRIED,
  delayed: METRIC_NAMES.COMMANDS_DEFERRED,
  dead_lettered: METRIC_NAMES.COMMANDS_DEAD_LETTERED,
  rejected: METRIC_NAMES.COMMANDS_REJECTED,
  deduplicated: METRIC_NAMES.COMMANDS_DEDUPLICATED,
  preempted: METRIC_NAMES.COMMANDS_PREEMPTED,
  fault: METRIC_NAMES.COMMANDS_ABANDONED,
}
const COUNTERS = Object.values(COUNTED)
const FINALS = [
  METRIC_NAMES.COMMANDS_COMPLETED,
  METRIC_NAMES.COMMANDS_FAILED,
  METRIC_NAMES.COMMANDS_TIMEOUT,
  METRIC_NAMES.COMMANDS_CANCELLED,
]
/** What a queue that has ended still counts, and tells nobody. */
const UNTOLD: readonly MetricName[] = [METRIC_NAMES.COMMANDS_REJECTED, METRIC_NAMES.COMMANDS_DEDUPLICATED]

/** Sums of fractions are added up in another order here. */
const isNear = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b))

class Books implements Checker {
  readonly #lanes = new Map<string, LaneBook>()
  /** Over all lanes, and those submits that named none of them. */
  readonly #all = new Counts('')
  /** Lanes of which something was told since the last rest: a rest comes after every timer, and most change little. */
  readonly #touched = new Set<string>()

  onEvent({ name, command, fields }: SeenEvent, picture: Picture): void {
    const laneId = fields['lane_id'] as string | undefined
    if (laneId === undefined) return
    this.#touched.add(laneId)
    const counter = COUNTED[name]
    if (counter === undefined || !isCounted(name, fields)) return
    this.#all.add(counter)
    if (!picture.lanes.has(laneId)) return
    const book = this.#book(laneId)
    book.counts.add(counter)
    if (name === 'completed' && command !== undefined) book.ranMs += picture.now - command.startedAt
  }

  atQuiescence(picture: Picture): void {
    const { measured } = picture
    if (measured === undefined || this.#touched.size === 0) return
    this.#all.judge(picture, measured)
    for (const laneId of this.#touched) {
      if (picture.lanes.has(laneId)) this.#book(laneId).judge(picture, measured)
    }
    this.#touched.clear()
  }

  #book(laneId: string): LaneBook {
    const book = this.#lanes.get(laneId) ?? new LaneBook(laneId)
    this.#lanes.set(laneId, book)
    return book
  }
}

/** How often each counter should have moved; `end` stands after its name. */
class Counts {
  readonly #counts: Readonly<Record<string, { readonly name: string; count: number }>>

  constructor(end: string) {
    this.#counts = Object.fromEntries(COUNTERS.map((name) => [name, { name: `${name}${end}`, count: 0 }]))
  }

  add(counter: MetricName): void {
    const one = this.#counts[counter]
    if (one !== undefined) one.count++
  }

  of(counter: MetricName): number {
    return this.#counts[counter]?.count ?? 0
  }

  judge(picture: Picture, measured: LocalMetrics): void {
    for (const [counter, { name, count }] of Object.entries(this.#counts)) {
      if (picture.isComplete && UNTOLD.includes(counter as MetricName)) continue
      const counted = measured.getCounter(name) ?? 0
      if (counted !== count) picture.report('I7', `${name} is ${counted}, ${count} were told`)
    }
  }
}

class LaneBook {
  readonly counts: Counts
  /** How long its completed attempts ran in all. */
  ranMs = 0
  readonly #id: string
  readonly #name: Readonly<Record<string, string>>

  constructor(id: string) {
    this.#id = id
    this.counts = new Counts(`.${id}`)
    this.#name = Object.fromEntries(Object.values(METRIC_NAMES).map((name) => [name, `${name}.${id}`]))
  }

  judge(picture: Picture, measured: LocalMetrics): void {
    this.counts.judge(picture, measured)
    this.#judgeTimes(picture, measured)
    this.#judgeGauges(picture, measured)
  }

  #judgeTimes(picture: Picture, measured: LocalMetrics): void {
    const waits = measured.histogram(this.#of(METRIC_NAMES.COMMAND_WAIT_TIME)).count
    const runs = measured.histogram(this.#of(METRIC_NAMES.COMMAND_LATENCY))
    const started = this.counts.of(METRIC_NAMES.COMMANDS_STARTED)
    const completed = this.counts.of(METRIC_NAMES.COMMANDS_COMPLETED)
    if (waits !== started) picture.report('I7', `${waits} waits of ${this.#id} for ${started} starts`)
    if (runs.count !== completed) picture.report('I7', `${runs.count} runs of ${this.#id} for ${completed} completions`)
    if (!isNear(runs.sum, this.ranMs))
      picture.report('I7', `completed attempts of ${this.#id} ran ${runs.sum} ms, ${this.ranMs} were seen`)
  }

  /** Submitted = waiting + delayed + active + settled, by counters and gauges alone; and the gauges are what is there. */
  #judgeGauges(picture: Picture, measured: LocalMetrics): void {
    const gauge = (name: MetricName): number => measured.getGauge(this.#of(name)) ?? 0
    const open = gauge(METRIC_NAMES.QUEUE_DEPTH) + gauge(METRIC_NAMES.QUEUE_DELAYED) + gauge(METRIC_NAMES.QUEUE_ACTIVE)
    const settled = FINALS.reduce((sum, name) => sum + (measured.getCounter(this.#of(name)) ?? 0), 0)
    const submitted = measured.getCounter(this.#of(METRIC_NAMES.COMMANDS_SUBMITTED)) ?? 0
    if (submitted !== open + settled)
      picture.report('I7', `${this.#id} counts ${submitted} submitted, ${settled} settled and ${open} between`)
    const { waiting, active } = picture.lane(this.#id)
    const there = waiting.size + active.size
    if (open !== there) picture.report('I7', `gauges of ${this.#id} say ${open} unsettled, ${there} are`)
    const zombies = gauge(METRIC_NAMES.QUEUE_ZOMBIES)
    if (zombies !== picture.claimsOf(this.#id).zombies)
      picture.report('I7', `the gauge of ${this.#id} says ${zombies} zombies, the queue another number`)
  }

  #of(name: MetricName): string {
    return this.#name[name] as string
  }
}

/** Put off by a handler or a provider, not by who submitted it; given up, not any other fault. */
function isCounted(name: string, fields: Readonly<Record<string, unknown>>): boolean {
  if (name === 'delayed') return fields['reason'] === 'snoozed' || fields['reason'] === 'deferred'
  if (name === 'fault') return String(fields['error']).includes('its slot was freed')
  return true
}
