/**
 * What a queue might write through the storage seam, drawn from a seed, and a model of what is stored after each batch: so
 * an image can be compared, whole, with the one state that it may have.
 *
 * Command 0 is updated in each batch and has the batch's number: an image says by itself how far it has come.
 */
import type { Random } from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'
import type { Storage, StorageChange, StoredCommand, StoredLetter, StoredStart } from '../../src/core/storage.js'

const LANES = ['tools', 'web', 'mail'] as const
const KEYS = ['anna', 'ben', undefined] as const

/** One step: attempts that begin, then a batch. */
export type SeamStep = { readonly starts: readonly StoredStart[]; readonly batch: readonly StorageChange[] }

type Held = { readonly command: StoredCommand; readonly row: string; readonly isCold: boolean }

/** All that is stored. */
export type Picture = {
  /** Each command as text. */
  readonly rows: ReadonlyMap<number, string>
  readonly letters: readonly string[]
  /** Those that are cold, each lane's in the order in which they are to start. */
  readonly cold: readonly { readonly laneId: string; readonly seq: number }[]
}

/** What has been written, in plain maps. */
export class SeamModel {
  readonly commands = new Map<number, Held>()
  readonly letters = new Map<number, StoredLetter>()

  apply(change: StorageChange): void {
    if (change.kind === 'submit') {
      const none = { endedAt: undefined, result: undefined, error: undefined }
      this.#hold({ ...change.command, ...none }, change.isCold)
    } else if (change.kind === 'bury') this.letters.set(change.letter.seq, change.letter)
    else if (change.kind === 'unbury') this.letters.delete(change.seq)
    else if (change.kind === 'withdraw') this.commands.delete(change.seq)
    else if (change.kind === 'cool') this.#cool(change.seq)
    else this.#alter(change)
  }

  picture(): Picture {
    const held = [...this.commands.values()]
    const cold = held.filter(({ isCold }) => isCold).map(({ command }) => command)
    return {
      rows: new Map(held.map(({ command, row }) => [command.seq, row])),
      letters: [...this.letters.values()].map(letterOf),
      cold: cold.sort(byOrder).map(({ laneId, seq }) => ({ laneId, seq })),
    }
  }

  #alter(change: Extract<StorageChange, { kind: 'update' | 'settle' }>): void {
    const held = this.commands.get(change.seq)
    if (!held || held.command.endedAt !== undefined) return
    const { kind, ...rest } = change
    const { keepUntil: _, ...fields } = { keepUntil: undefined, ...rest }
    // what a settled command was waiting for is nobody's business any more
    const over = kind === 'settle' ? { dueAt: undefined, checkpoint: undefined } : {}
    this.#hold({ ...held.command, ...over, ...fields }, false)
  }

  #cool(seq: number): void {
    const held = this.commands.get(seq)
    if (held?.command.endedAt === undefined && held) this.#hold(held.command, true)
  }

  #hold(command: StoredCommand, isCold: boolean): void {
    this.commands.set(command.seq, { command, row: rowOf(command), isCold })
  }
}

const byOrder = (a: StoredCommand, b: StoredCommand): number => a.priority - b.priority || a.seq - b.seq

const letterOf = ({ seq, failedAt, letter }: StoredLetter): string => `${seq} ${failedAt} ${letter}`

/** Of a settled command, what it was waiting for and where it stood is left out: it may be kept or dropped. */
function rowOf(command: StoredCommand): string {
  const { seq, id, laneId, commandType, payload, priority, key, createdAt, options } = command
  const { state, attempt, dueAt, checkpoint, details, endedAt, result, error } = command
  const open = endedAt === undefined ? [dueAt, checkpoint] : []
  const submitted = [seq, id, laneId, commandType, payload, priority, key, createdAt, options]
  return JSON.stringify(
    [...submitted, state, attempt, details, endedAt, result, error, ...open].map((one) => one ?? null),
  )
}

const PAGE = 500

/** What a storage holds, how many batches of it, and what a start mark says to have been running. */
export function readStorage(storage: Storage): { steps: number; picture: Picture; running: StoredStart[] } {
  const running: StoredStart[] = []
  for (const { state, seq, attempt } of storage.load()) if (state === 'active') running.push({ place: 0, seq, attempt })
  const commands: StoredCommand[] = []
  for (let fromSeq = 0; ; ) {
    const page = storage.list({ laneId: undefined, state: undefined, fromSeq, limit: PAGE })
    commands.push(...page)
    if (page.length < PAGE) break
    fromSeq = (page.at(-1)?.seq ?? 0) + 1
  }
  const picture = {
    rows: new Map(commands.map((command) => [command.seq, rowOf(command)])),
    letters: [...storage.letters()].map(letterOf),
    cold: LANES.flatMap((laneId) => coldOf(storage, laneId)),
  }
  return { steps: Number(commands.find(({ seq }) => seq === 0)?.details ?? '0'), picture, running }
}

/** Where two pictures differ; what was running is left out of both. */
export function findDifference(found: Picture, expected: Picture, running: ReadonlySet<number>): string | undefined {
  for (const seq of new Set([...found.rows.keys(), ...expected.rows.keys()])) {
    const [has, should] = [found.rows.get(seq), expected.rows.get(seq)]
    if (has === undefined || should === undefined) return `command ${seq} is ${has ? 'there' : 'missing'}`
    if (has !== should && !running.has(seq))
      return `command ${seq} reads ${has.slice(0, 300)} for ${should.slice(0, 300)}`
  }
  if (found.letters.join() !== expected.letters.join())
    return `letters are ${found.letters.map(beginning).join()} for ${expected.letters.map(beginning).join()}`
  for (const lane of LANES) {
    const [has, should] = [found, expected].map(({ cold }) =>
      cold.flatMap(({ laneId, seq }) => (laneId === lane && !running.has(seq) ? [seq] : [])).join(),
    )
    if (has !== should) return `cold in ${lane} are ${has} for ${should}`
  }
  return undefined
}

const beginning = (letter: string): string => letter.slice(0, 24)

function coldOf(storage: Storage, laneId: string): Picture['cold'] {
  const found: Picture['cold'][number][] = []
  let after: { priority: number; seq: number } | undefined
  for (;;) {
    const page = storage.page({ laneId, key: null, lifo: false, after, limit: PAGE })
    found.push(...page.map(({ seq }) => ({ laneId, seq })))
    const last = page.at(-1)
    if (page.length < PAGE || !last) return found
    after = { priority: last.priority, seq: last.seq }
  }
}

/** The steps of a seed, one after the other; the model is of what has been written before the step. */
export function* drawSteps(seed: number, count: number, model = new SeamModel()): Generator<SeamStep> {
  const random = seededRandom(seed)
  const draw = new Draw(random, model)
  for (let step = 1; step <= count; step++) {
    const starts = step % 3 === 0 ? draw.starts() : []
    // now and then a batch that is worth a thread
    const changes = step % 40 === 20 ? 100 : 1 + Math.floor(random.next() * 6)
    const batch = draw.batch(changes, step)
    for (const change of batch) model.apply(change)
    yield { starts, batch }
  }
}

/** The command that a change is about. */
function seqOf(change: StorageChange): number {
  if (change.kind === 'submit') return change.command.seq
  return change.kind === 'bury' ? change.letter.seq : change.seq
}

/** Chooses what changes. */
class Draw {
  readonly #random: Random
  readonly #model: SeamModel
  #nextSeq = 1

  constructor(random: Random, model: SeamModel) {
    this.#random = random
    this.#model = model
  }

  batch(changes: number, step: number): StorageChange[] {
    const batch: StorageChange[] = [this.#counter(step)]
    /** At most one change of each kind for a command; never a command that the batch submits. */
    const touched = new Set<number>([0])
    for (let n = 0; n < changes; n++) {
      const change = this.#change(touched)
      batch.push(change)
      touched.add(seqOf(change))
    }
    return batch
  }

  starts(): StoredStart[] {
    const seqs = this.#open(new Set([0])).slice(0, 3)
    return seqs.map((seq, place) => ({ place, seq, attempt: this.#attemptOf(seq) + 1 }))
  }

  #counter(step: number): StorageChange {
    const progress = {
      state: 'pending',
      attempt: 0,
      dueAt: undefined,
      checkpoint: undefined,
      details: `${step}`,
    } as const
    if (step > 1) return { kind: 'update', seq: 0, ...progress }
    return { kind: 'submit', isCold: false, command: { ...this.#submit(0), ...progress, id: undefined } }
  }

  #change(touched: ReadonlySet<number>): StorageChange {
    const kind = this.#random.next()
    const open = this.#open(touched)
    const seq = this.#one(open)
    if (kind < 0.5 || seq === undefined) return this.#newCommand()
    if (kind < 0.7) return { kind: 'update', seq, ...this.#progress(this.#attemptOf(seq) + 1) }
    if (kind < 0.72) return { kind: 'withdraw', seq }
    if (kind < 0.76 && this.#mayCool(seq)) return { kind: 'cool', seq }
    const letter = this.#one([...this.#model.letters.keys()].filter((one) => !touched.has(one)))
    if (kind < 0.8 && letter !== undefined) return { kind: 'unbury', seq: letter }
    if (kind < 0.84 && !this.#model.letters.has(seq))
      return { kind: 'bury', letter: { seq, failedAt: 1_700_000_000_000 + seq, letter: this.#text('letter') } }
    return this.#outcome(seq)
  }

  #newCommand(): StorageChange {
    const isCold = this.#random.next() < 0.3
    const progress = isCold ? { ...this.#progress(0), state: 'pending' as const, dueAt: undefined } : this.#progress(0)
    return { kind: 'submit', isCold, command: { ...this.#submit(this.#nextSeq++), ...progress } }
  }

  #outcome(seq: number): StorageChange {
    const state = this.#random.next() < 0.7 ? 'completed' : 'failed'
    const result = state === 'completed' ? this.#text('result') : undefined
    const error = state === 'failed' ? this.#text('error') : undefined
    const rest = { endedAt: 1_700_000_100_000 + seq, result, error, details: undefined, keepUntil: undefined }
    return { kind: 'settle', seq, state, attempt: this.#attemptOf(seq) + 1, ...rest }
  }

  #submit(seq: number) {
    return {
      seq,
      id: this.#random.next() < 0.2 ? `own-${seq}` : undefined,
      laneId: LANES[Math.floor(this.#random.next() * LANES.length)] ?? 'tools',
      commandType: 'echo',
      payload: this.#text('payload'),
      priority: this.#random.next() < 0.5 ? 1000 : Math.floor(this.#random.next() * 5),
      key: KEYS[Math.floor(this.#random.next() * KEYS.length)],
      createdAt: 1_700_000_000_000 + seq,
      options: this.#random.next() < 0.3 ? '{"timeoutMs":1000}' : undefined,
    }
  }

  #progress(attempt: number) {
    const isDelayed = this.#random.next() < 0.3
    return {
      state: isDelayed ? ('delayed' as const) : ('pending' as const),
      attempt,
      dueAt: isDelayed ? 1_800_000_000_000 + attempt : undefined,
      checkpoint: this.#random.next() < 0.2 ? this.#text('checkpoint') : undefined,
      details: this.#random.next() < 0.2 ? this.#text('details') : undefined,
    }
  }

  /** JSON of 20 to some 2,000 characters, not all of one byte. */
  #text(what: string): string {
    const length = Math.floor(20 + this.#random.next() ** 4 * 2000)
    return JSON.stringify({ what, fill: 'aé😀'.repeat(length / 3), n: Math.floor(this.#random.next() * 1e9) })
  }

  #open(touched: ReadonlySet<number>): number[] {
    const held = [...this.#model.commands.values()].filter(({ command }) => command.endedAt === undefined)
    return held.map(({ command }) => command.seq).filter((seq) => !touched.has(seq))
  }

  /** Only what waits for its turn is cold. */
  #mayCool(seq: number): boolean {
    return this.#model.commands.get(seq)?.command.state === 'pending'
  }

  #attemptOf(seq: number): number {
    return this.#model.commands.get(seq)?.command.attempt ?? 0
  }

  #one<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#random.next() * from.length)]
  }
}
