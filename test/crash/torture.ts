/**
 * Processes on one file, killed one after the other. A process is started ahead of its turn, so a restart takes a moment
 * and a kill can follow a kill at once. When all kills are done a last process runs everything to its end, and the histories
 * of all of them are judged.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '@a3s-lab/lane/testing'
import { Answers } from './answers.js'
import { type Arm, type Fault, POINTS } from './armed-storage.js'
import { type HistoryRecord, readHistory } from './history.js'
import type { Orders } from './tortured.js'
import { Victim } from './victim.js'

export type TortureOptions = {
  /** The built program. */
  readonly program: string
  readonly folder: string
  readonly kills: number
  readonly seed: number
  readonly fault?: Fault | undefined
  /** One in so many processes gets more commands than fit into memory; none when left out. */
  readonly coldEvery?: number | undefined
  /** The library that can kill a process right before any of its disk calls; without it none is killed so. */
  readonly library?: string | undefined
  /** Whether a second opener is refused is tried with this, while the file is in use. */
  readonly openSecond?: ((path: string) => Promise<string | undefined>) | undefined
}

/** How a process is ended. */
type Ending = 'at random' | 'at a point' | 'at a disk call' | 'while it opens' | 'right after a kill' | 'SIGTERM'

export type Torture = {
  readonly records: readonly HistoryRecord[]
  readonly endings: Readonly<Record<Ending, number>>
  /** Milliseconds from opening the file to the first start. */
  readonly firstStarts: readonly number[]
  /** What second openers were told that was not a refusal. */
  readonly intruders: readonly string[]
  /** Processes that ended otherwise than they were told to. */
  readonly accidents: readonly string[]
  readonly lastStats: string
}

/** The life of one process, drawn beforehand. */
type Life = {
  readonly name: string
  readonly ending: Ending
  readonly afterMs: number
  readonly arm: Arm | undefined
  readonly diskCall: number | undefined
  readonly durability: 'full' | 'relaxed'
  readonly checkpointBytes: number | undefined
  readonly cold: number
  readonly isIntruded: boolean
}

/** More than two windows of what a lane keeps in memory. */
const COLD = 9000
/** An armed point may never be passed: then the process is killed anyway. */
const PATIENCE_MS = 400

export async function torture(options: TortureOptions): Promise<Torture> {
  mkdirSync(options.folder, { recursive: true })
  const run = new TortureRun(options)
  try {
    return await run.toTheEnd()
  } finally {
    run.dispose()
  }
}

function drawLife({ seed, library, coldEvery }: TortureOptions, number: number): Life {
  const random = seededRandom(Math.imul(seed, 0x9e_37_79_b1) + number)
  const share = random.next()
  const draw = random.next()
  const isCold = coldEvery !== undefined && number % coldEvery === 1
  let ending: Ending = 'at random'
  if (isCold) ending = 'at random'
  else if (share < 0.2) ending = library !== undefined && draw < 0.35 ? 'at a disk call' : 'at a point'
  else if (share < 0.3) ending = 'while it opens'
  else if (share < 0.38) ending = 'right after a kill'
  else if (share < 0.43) ending = 'SIGTERM'
  const limit = { 'while it opens': 40, 'right after a kill': 50 }[ending as string] ?? 300
  const point = POINTS[Math.floor(random.next() * POINTS.length)] ?? 'before write'
  return {
    name: `p${String(number).padStart(4, '0')}`,
    ending,
    afterMs: random.next() * limit,
    arm: ending === 'at a point' ? { point, n: 1 + Math.floor(random.next() ** 2 * 40) } : undefined,
    diskCall: ending === 'at a disk call' ? 1 + Math.floor(random.next() ** 2 * 200) : undefined,
    durability: random.next() < 0.25 ? 'relaxed' : 'full',
    checkpointBytes: random.next() < 0.5 ? 60 * 4096 : undefined,
    cold: isCold ? COLD : 0,
    isIntruded: ending === 'at random' && random.next() < 0.1,
  }
}

/** A process, and how it is to end. */
type Doomed = { readonly victim: Victim; readonly life: Life }

class TortureRun {
  readonly #options: TortureOptions
  readonly #endings = {
    'at random': 0,
    'at a point': 0,
    'at a disk call': 0,
    'while it opens': 0,
    'right after a kill': 0,
    SIGTERM: 0,
  }
  readonly #firstStarts: number[] = []
  readonly #intruders: string[] = []
  readonly #accidents: string[] = []
  readonly #histories: string
  readonly #path: string
  #next: Doomed
  #born = 0
  #lastStats = ''
  readonly #answers: Answers

  constructor(options: TortureOptions) {
    this.#options = options
    this.#histories = join(options.folder, 'history')
    this.#path = join(options.folder, 'lane.db')
    this.#answers = new Answers(this.#histories)
    mkdirSync(this.#histories, { recursive: true })
    this.#next = this.#spawn()
  }

  async toTheEnd(): Promise<Torture> {
    let again: string[] = []
    for (let kills = 0; kills < this.#options.kills; ) {
      const doomed = this.#take()
      await this.#live(doomed, again)
      this.#endings[doomed.life.ending]++
      if (doomed.life.ending !== 'SIGTERM') kills++
      again = this.#answers.unanswered(doomed.life.name)
    }
    const { victim: last, life } = this.#take()
    await last.warm
    last.order(this.#orders(life, 'drain', again))
    const code = await last.ended
    if (code !== 0) this.#accidents.push(`the drain ended with ${code}: ${last.errors}`)
    this.#lastStats = last.lineAfter('stats')
    return {
      records: readHistory(this.#histories),
      endings: this.#endings,
      firstStarts: this.#firstStarts,
      intruders: this.#intruders,
      accidents: this.#accidents,
      lastStats: this.#lastStats,
    }
  }

  dispose(): void {
    this.#next.victim.kill('SIGKILL')
  }

  /** From its orders to its end. */
  async #live({ victim, life }: Doomed, again: readonly string[]): Promise<void> {
    await victim.warm
    victim.order(this.#orders(life, 'work', again))
    if (life.ending === 'while it opens') await victim.said('opening')
    else if (life.ending !== 'right after a kill') await victim.said('started')
    // so many take their time, and are to be met in the middle of it
    if (life.cold > 0) await victim.said('stored')
    if (life.isIntruded) await this.#intrude()
    const isArmed = life.ending === 'at a point' || life.ending === 'at a disk call'
    const ended = await victim.endsWithin(isArmed ? PATIENCE_MS : life.afterMs)
    if (!ended) victim.kill(life.ending === 'SIGTERM' ? 'SIGTERM' : 'SIGKILL')
    const end = await victim.ended
    const expected = life.ending === 'SIGTERM' ? 0 : 'SIGKILL'
    if (end !== expected) this.#accidents.push(`${life.name} (${life.ending}) ended with ${end}: ${victim.errors}`)
    const first = victim.lineAfter('first')
    if (first !== '') this.#firstStarts.push(Number(first))
  }

  #orders(
    { name, arm, durability, checkpointBytes, cold }: Life,
    mode: Orders['mode'],
    again: readonly string[],
  ): Orders {
    const { fault, seed } = this.#options
    const place = { process: name, path: this.#path, history: this.#histories }
    return { ...place, mode, seed: seed + this.#born, durability, checkpointBytes, arm, fault, again, cold }
  }

  async #intrude(): Promise<void> {
    const said = await this.#options.openSecond?.(this.#path)
    if (said !== undefined) this.#intruders.push(said)
  }

  #take(): Doomed {
    const doomed = this.#next
    this.#next = this.#spawn()
    return doomed
  }

  #spawn(): Doomed {
    const life = drawLife(this.#options, this.#born++)
    return { life, victim: new Victim(this.#options.program, this.#environment(life)) }
  }

  #environment({ diskCall }: Life): NodeJS.ProcessEnv {
    const { library } = this.#options
    if (diskCall === undefined || library === undefined) return process.env
    return {
      ...process.env,
      LD_PRELOAD: library,
      LANE_RECORD_WORD: this.#path,
      LANE_RECORD_LOG: '/dev/null',
      LANE_RECORD_KILL: String(diskCall),
    }
  }
}
