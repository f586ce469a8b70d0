/**
 * Processes that share lanes over a real server, and a torturer: it kills one after the other, stops some for longer than
 * their leases last, kills the server and starts it again. When all kills are done a last process runs everything to its end,
 * and the histories of all of them are judged.
 */
import { mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'
import { startPostgres } from '../support/postgres.js'
import { type RedisServer, startRedis } from '../support/redis.js'
import { Answers } from './answers.js'
import { SERVER } from './check-shared.js'
import type { EngineFault } from './faulty-engine.js'
import { History, type HistoryRecord, type Operation, readHistory } from './history.js'
import type { SharedOrders } from './shared-plan.js'
import { Victim } from './victim.js'

export type SharedTortureOptions = {
  /** The built program. */
  readonly program: string
  readonly folder: string
  /** Kills of processes and of the server together. */
  readonly kills: number
  readonly seed: number
  readonly fault?: EngineFault | undefined
  /** Default 'redis'. */
  readonly server?: ServerKind | undefined
  readonly leaseMs?: number | undefined
}

export type ServerKind = 'redis' | 'postgres'

type Server = Pick<RedisServer, 'url' | 'kill' | 'restart' | 'suspend' | 'resume' | 'stop'>

/** What was done. */
type Deed = 'process killed' | 'process suspended' | 'SIGTERM' | 'server killed' | 'server suspended'

export type SharedTorture = {
  readonly records: readonly HistoryRecord[]
  readonly deeds: Readonly<Record<Deed, number>>
  /** Processes that ended otherwise than they were told to. */
  readonly accidents: readonly string[]
}

/** Processes at work at a time. */
const CREW = 3
const LEASE_MS = 1500
/** More than what is drained may take; Postgres is slow. */
const DRAIN_MS = { redis: 90_000, postgres: 600_000 } as const
const LEAVES_WITHIN_MS = 40_000
const ROLES = ['both', 'both', 'both', 'coordinator', 'worker'] as const

export async function tortureShared(options: SharedTortureOptions): Promise<SharedTorture> {
  const server = options.server === 'postgres' ? await startPostgres() : await startRedis({ appendonly: 'always' })
  const run = new SharedTortureRun(options, server)
  try {
    return await run.toTheEnd()
  } finally {
    run.dispose()
    await server.stop()
  }
}

type Member = { readonly name: string; readonly victim: Victim }

class SharedTortureRun {
  readonly #options: SharedTortureOptions
  readonly #server: Server
  readonly #random: Random
  readonly #deeds = {
    'process killed': 0,
    'process suspended': 0,
    SIGTERM: 0,
    'server killed': 0,
    'server suspended': 0,
  }
  readonly #accidents: string[] = []
  readonly #histories: string
  readonly #answers: Answers
  readonly #append: (line: string) => void
  readonly #crew: Member[] = []
  /** Resolve when they are back. */
  readonly #suspended: Promise<void>[] = []
  /** Resolve when those that are on their way out have left. */
  readonly #leaving: Promise<void>[] = []
  readonly #alive = new Set<Victim>()
  #next: Member
  #born = 0
  #again: string[] = []

  constructor(options: SharedTortureOptions, server: Server) {
    this.#options = options
    this.#server = server
    this.#random = seededRandom(options.seed)
    this.#histories = join(options.folder, 'history')
    mkdirSync(this.#histories, { recursive: true })
    this.#answers = new Answers(this.#histories)
    const file = openSync(join(this.#histories, 'torturer.jsonl'), 'a')
    this.#append = (line) => writeSync(file, line)
    this.#next = this.#spawn()
  }

  async toTheEnd(): Promise<SharedTorture> {
    for (let at = 0; at < CREW; at++) await this.#join('both')
    const deeds = this.#deeds
    while (deeds['process killed'] + deeds['server killed'] < this.#options.kills) {
      await sleep(30 + this.#random.next() * 300)
      await this.#act()
    }
    await Promise.all(this.#suspended)
    for (const member of this.#crew.splice(0)) this.#dismiss(member)
    await Promise.all(this.#leaving)
    await this.#drain()
    return { records: readHistory(this.#histories), deeds, accidents: this.#accidents }
  }

  dispose(): void {
    for (const victim of this.#alive) victim.kill('SIGKILL')
  }

  async #act(): Promise<void> {
    const share = this.#random.next()
    if (share < 0.62) await this.#kill()
    else if (share < 0.76) await this.#suspend()
    else if (share < 0.84) {
      this.#deeds.SIGTERM++
      this.#dismiss(this.#one())
      await this.#join()
    } else if (share < 0.94) await this.#killServer()
    else await this.#suspendServer()
  }

  async #kill(): Promise<void> {
    const { name, victim } = this.#one()
    this.#deeds['process killed']++
    victim.kill('SIGKILL')
    await victim.ended
    this.#tell(name, 'killed')
    this.#again = this.#answers.unanswered(name)
    await this.#join()
  }

  /** Longer than its leases last, more often than not. */
  async #suspend(): Promise<void> {
    const member = this.#one()
    this.#deeds['process suspended']++
    this.#tell(member.name, 'suspended')
    member.victim.kill('SIGSTOP')
    await this.#join()
    const ms = (0.5 + 2 * this.#random.next()) * this.#leaseMs
    const backAgain = sleep(ms).then(() => {
      this.#tell(member.name, 'back')
      member.victim.kill('SIGCONT')
      this.#crew.push(member)
    })
    this.#suspended.push(backAgain)
  }

  /** Away for less than a lease lasts, as a rule. */
  async #killServer(): Promise<void> {
    this.#deeds['server killed']++
    this.#tell(SERVER, 'killed')
    await this.#server.kill()
    await sleep(this.#random.next() ** 2 * this.#leaseMs)
    await this.#server.restart()
    this.#tell(SERVER, 'back')
  }

  async #suspendServer(): Promise<void> {
    this.#deeds['server suspended']++
    this.#tell(SERVER, 'suspended')
    this.#server.suspend()
    await sleep(this.#random.next() * this.#leaseMs)
    this.#server.resume()
    this.#tell(SERVER, 'back')
  }

  /** Takes a random one out of the crew. */
  #one(): Member {
    const [member] = this.#crew.splice(Math.floor(this.#random.next() * this.#crew.length), 1)
    return member as Member
  }

  /** Sends it away in good order, and does not wait for it. */
  #dismiss({ name, victim }: Member): void {
    const leave = async (): Promise<void> => {
      await victim.said('opening')
      victim.kill('SIGTERM')
      if (!(await victim.endsWithin(LEAVES_WITHIN_MS))) victim.kill('SIGKILL')
      const end = await victim.ended
      if (end !== 0) this.#accidents.push(`${name} was told to leave and ended with ${end}: ${victim.errors}`)
    }
    this.#leaving.push(leave())
  }

  /** A new one comes, unless those that were suspended are back. */
  async #join(role?: SharedOrders['role']): Promise<void> {
    if (this.#crew.length >= CREW) return
    const member = this.#next
    this.#next = this.#spawn()
    const drawn = ROLES[Math.floor(this.#random.next() * ROLES.length)] ?? 'both'
    await member.victim.warm
    member.victim.order(this.#orders(member, 'work', role ?? drawn))
    this.#crew.push(member)
    // some are met while they begin, most at work
    if (this.#random.next() < 0.8) await member.victim.said('started')
  }

  async #drain(): Promise<void> {
    const { name, victim } = this.#next
    await victim.warm
    victim.order(this.#orders(this.#next, 'drain', 'both'))
    const limitMs = DRAIN_MS[this.#options.server ?? 'redis']
    if (!(await victim.endsWithin(limitMs))) victim.kill('SIGKILL')
    const code = await victim.ended
    if (code !== 0) this.#accidents.push(`${name}, the drain, ended with ${code}: ${victim.errors}`)
  }

  #orders({ name }: Member, mode: SharedOrders['mode'], role: SharedOrders['role']): SharedOrders {
    const { seed, fault } = this.#options
    const again = role === 'worker' ? [] : this.#again
    const place = { process: name, url: this.#server.url, namespace: 'torture', history: this.#histories }
    return { ...place, mode, role, seed: seed + this.#born, leaseMs: this.#leaseMs, fault, again }
  }

  get #leaseMs(): number {
    return this.#options.leaseMs ?? LEASE_MS
  }

  #tell(process: string, op: Operation): void {
    new History(process, this.#append).add(op, 'ok', { command: '' })
  }

  #spawn(): Member {
    const name = `shared-${String(this.#born++).padStart(4, '0')}`
    const victim = new Victim(this.#options.program)
    this.#alive.add(victim)
    void victim.ended.then(() => {
      this.#alive.delete(victim)
      // nobody had told it to
      const at = this.#crew.findIndex((member) => member.victim === victim)
      if (at >= 0) this.#accidents.push(`${name} ended by itself: ${victim.errors}`)
      if (at >= 0) this.#crew.splice(at, 1)
    })
    return { name, victim }
  }
}
