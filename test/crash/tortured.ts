/** The queue inside a process under torture: what is submitted to it, and what of it goes into the history. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type CommandRecord, type CommandRun, isLaneError, QueueManager, type Storage } from '@a3s-lab/lane'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { seededRandom } from '@a3s-lab/lane/testing'
import type { Arm, Fault, Points } from './armed-storage.js'
import { type History, type HistoryRecord, hashOf } from './history.js'
import { type Acquaintance, handleAll } from './torture-bodies.js'
import { lanes, MAX_CONCURRENCY, type Payload, planOf } from './torture-plan.js'

/** What a process is told to do. */
export type Orders = {
  readonly process: string
  readonly path: string
  /** Folder of the histories. */
  readonly history: string
  readonly mode: 'work' | 'drain'
  readonly seed: number
  readonly durability: 'full' | 'relaxed'
  readonly checkpointBytes?: number | undefined
  readonly arm?: Arm | undefined
  readonly fault?: Fault | undefined
  /** Commands to submit again: nobody knows whether they were accepted, or how they ended is known. */
  readonly again: readonly string[]
  /** Commands to submit anew at once, so many that not all of them stay in memory. */
  readonly cold: number
}

type Opening = Pick<Orders, 'path' | 'durability' | 'checkpointBytes'>

export async function openQueue(opening: Opening, around: (inner: Storage) => Storage) {
  const { path, durability, checkpointBytes } = opening
  const storage = await LocalStorage.open({ path, durability, checkpointBytes })
  const queue = new QueueManager({
    lanes,
    maxConcurrency: MAX_CONCURRENCY,
    storage: around(storage),
    // nothing may be forgotten before it was judged
    retention: { count: 1_000_000, ageMs: 3_600_000 },
    deadLetters: 100_000,
  })
  return { queue, storage }
}

const DRAIN_MS = 60_000

/** What a process submits by itself. */
export type Work = Pick<Orders, 'process' | 'seed' | 'again' | 'cold'> & {
  /** Longest time between two bursts. */
  readonly paceMs?: number
  /** Where commands are shared: what is submitted together is not one commit, and nothing but commands with a type is. */
  readonly isShared?: boolean
}

export class Tortured {
  readonly #queue: QueueManager
  readonly #history: History
  readonly #points: Points
  readonly #known: Acquaintance = { names: new Map(), ended: new Map() }
  readonly #say: (line: string) => void
  #hasStarted = false
  readonly #reading: Promise<void>

  constructor(queue: QueueManager, history: History, points: Points, say: (line: string) => void) {
    this.#queue = queue
    this.#history = history
    this.#points = points
    this.#say = say
    handleAll(queue, history, points, this.#known)
    this.#reading = this.#read()
  }

  /** Submits without end, in bursts. */
  async work({ process: name, seed, again, cold, paceMs = 12, isShared = false }: Work): Promise<void> {
    const random = seededRandom(seed)
    void this.submitAll(again)
    if (cold > 0) {
      await this.#submitBatch(`cold-${name}`, cold)
      this.#say('stored')
    }
    const bursts = isShared ? Number.POSITIVE_INFINITY : 40
    for (let burst = 0; burst < bursts && !this.#queue.isShuttingDown; burst++) {
      const count = 1 + Math.floor(random.next() * 6)
      if (random.next() < 0.2 && !isShared) void this.#submitBatch(`${name}-${burst}`, count)
      else for (let n = 0; n < count; n++) void this.#submit(`${name}-${burst}-${n}`)
      if (random.next() < 0.1 && !isShared) this.#submitEphemeral()
      await sleep(random.next() * paceMs)
    }
  }

  async submitAll(names: readonly string[]): Promise<void> {
    await Promise.allSettled(names.map((name) => this.#submit(name).accepted))
  }

  /** Runs what there is to the end, and writes down how everything ended. */
  async drain(look: () => void = () => {}): Promise<void> {
    await this.#queue.shutdown()
    await this.#queue.drain(DRAIN_MS)
    await this.#reading
    await this.#lookAtAll()
    look()
    await this.leave()
  }

  /** Runs what other processes have left, too. */
  async drainShared(): Promise<void> {
    let fewest = Number.POSITIVE_INFINITY
    // for as long as it gets less: how much there is to do depends on the server
    let patience = performance.now() + DRAIN_MS
    while (performance.now() < patience) {
      const { totalPending, totalActive, totalDelayed } = await this.#queue.clusterStats()
      const left = totalPending + totalActive + totalDelayed
      if (left === 0) break
      if (left < fewest) patience = performance.now() + DRAIN_MS
      fewest = Math.min(fewest, left)
      await sleep(50)
    }
    await this.#lookAtAll()
    await this.leave()
  }

  async #lookAtAll(): Promise<void> {
    let cursor: string | undefined
    do {
      const page = await this.#queue.list({ limit: 1000, cursor })
      for (const record of page.items) this.#found(record)
      cursor = page.nextCursor
    } while (cursor !== undefined)
    for (const { payload } of await this.#queue.deadLetters.list())
      this.#history.add('letter', 'ok', { command: (payload as Payload).name })
  }

  /** Ends in good order. */
  async leave(): Promise<void> {
    await this.#queue.close()
    await this.#reading
    this.#history.add('exit', 'ok', { command: '' })
  }

  #found({ id, state, payload, result }: CommandRecord): void {
    const { name } = payload as Payload
    this.#history.add('found', 'ok', { command: name, id, state, hash: hashOf(payload) })
    if (state === 'pending' || state === 'delayed' || state === 'active') return
    const value = state === 'completed' ? { hash: hashOf(result) } : {}
    this.#history.add('settle', 'ok', { command: name, id, state, ...value })
  }

  #submit(name: string): CommandRun {
    const { laneId, payload, options, isCancelled } = planOf(name)
    const hash = hashOf(payload)
    this.#history.add('submit', 'invoke', { command: name, lane: laneId, hash })
    const run = this.#queue.submit(laneId, { type: payload.type, payload }, options)
    this.#follow(name, run, { hash })
    if (isCancelled) void run.accepted.then(() => run.cancel('not wanted any more')).catch(() => undefined)
    return run
  }

  /** Commands of one lane, in one commit. */
  async #submitBatch(batch: string, count: number): Promise<void> {
    const names = Array.from({ length: count }, (_, n) => `${batch}+${n}`)
    const { laneId } = planOf(names[0] ?? batch)
    const plans = names.map((name) => planOf(name))
    for (const [n, { payload }] of plans.entries())
      this.#history.add('submit', 'invoke', { command: names[n] ?? '', lane: laneId, batch, hash: hashOf(payload) })
    const runs = this.#queue.submitBatch(
      laneId,
      plans.map(({ payload, options }) => [{ type: payload.type, payload }, options] as const),
    )
    for (const [n, run] of runs.entries()) this.#follow(names[n] ?? '', run, { batch })
    await Promise.allSettled(runs.map(({ accepted }) => accepted))
  }

  #submitEphemeral(): void {
    void this.#queue.submit('tools', () => 'forgotten with its process', { ephemeral: true }).catch(() => undefined)
  }

  #follow(name: string, run: CommandRun, rest: Partial<HistoryRecord>): void {
    const facts = { command: name, id: run.id, ...rest }
    this.#known.names.set(run.id, name)
    run.accepted.then(
      () => this.#history.add('submit', 'ok', facts),
      (error: unknown) => this.#history.add('submit', wasRefused(error) ? 'fail' : 'info', facts),
    )
    run.then(
      (value) => {
        this.#points.pass('settled')
        this.#settle(name, { state: 'completed', hash: hashOf(value) })
      },
      (error: unknown) => {
        const state = isLaneError(error) ? STATES[error.code] : undefined
        if (state !== undefined) this.#settle(name, { state })
      },
    )
  }

  #settle(command: string, seen: Pick<HistoryRecord, 'state' | 'hash'>): void {
    this.#history.add('settle', 'ok', { command, ...seen })
  }

  async #read(): Promise<void> {
    for await (const { key, payload } of this.#queue.subscribe({ capacity: 1_000_000 })) {
      this.#points.pass('event')
      if (key === 'queue.command.started' && !this.#hasStarted) {
        this.#hasStarted = true
        this.#say('first')
      }
      if (payload !== null && 'command_id' in payload && typeof payload.command_id === 'string')
        await this.#hear(key, payload.command_id, payload)
    }
  }

  async #hear(key: string, id: string, payload: object): Promise<void> {
    const state = FINAL[key]
    const end = key === 'queue.command.delayed' && 'reason' in payload ? DELAYED[String(payload.reason)] : RELEASED[key]
    if (state === undefined && end === undefined) return
    const command = this.#known.names.get(id) ?? (await this.#nameOf(id))
    // a function command is nobody's business after its process
    if (command === undefined) return
    const attempt = this.#known.ended.get(command)
    const facts = { command, id, ...(attempt === undefined ? {} : { attempt }) }
    if (end !== undefined) this.#history.add('release', 'ok', { ...facts, end })
    const token = attempt === undefined ? {} : { token: attempt }
    if (state !== undefined) this.#history.add('complete', 'ok', { ...facts, ...token, state })
  }

  async #nameOf(id: string): Promise<string | undefined> {
    const record = await this.#queue.get(id)
    return (record?.payload as Payload | undefined)?.name
  }
}

/** Outcomes are no refusals, and an engine that cannot be reached may have taken it all the same. */
const UNCERTAIN: readonly string[] = ['COMMAND_CANCELLED', 'COMMAND_FAILED', 'COMMAND_TIMEOUT', 'ENGINE_UNAVAILABLE']

/** Refused for certain: nothing was accepted. */
const wasRefused = (error: unknown): boolean => isLaneError(error) && !UNCERTAIN.includes(error.code)

const STATES: Readonly<Record<string, HistoryRecord['state']>> = {
  COMMAND_FAILED: 'failed',
  COMMAND_TIMEOUT: 'timed_out',
  COMMAND_CANCELLED: 'cancelled',
}
const FINAL: Readonly<Record<string, HistoryRecord['state']>> = {
  'queue.command.completed': 'completed',
  'queue.command.failed': 'failed',
  'queue.command.timeout': 'timed_out',
  'queue.command.cancelled': 'cancelled',
}
const RELEASED: Readonly<Record<string, HistoryRecord['end']>> = {
  'queue.command.retry': 'failed',
  'queue.command.preempted': 'preempted',
}
const DELAYED: Readonly<Record<string, HistoryRecord['end']>> = { snoozed: 'snoozed', deferred: 'snoozed' }
