/**
 * The two connections of a process to Postgres: one that works, one that listens. Everything that changes a namespace is
 * done under one lock of it, so that a step of ours is one step of the server, as a script is for Redis. What is asked in
 * one turn of the event loop shares a transaction, since a commit waits for the disk.
 *
 * Work whose answer was lost is done once more: it is told so, and makes sure that this does no harm.
 */
import type { runMigrations } from 'bullmq'
import type { Client, ClientConfig } from 'pg'
import type { Clock } from '../../core/index.js'
import { errorText } from '../../core/index.js'
import { importPeer } from '../../peer/index.js'
import type { CheckedOptions, PostgresSettings } from '../options.js'
import { unavailable } from '../server-check.js'
import { isPgAway, isPgInTheWay, pgInvalid, pgRefusalOf } from './pg-errors.js'
import { type ClientClass, PgLink } from './pg-link.js'
import { isPrepared, lockOf, prepareSchema } from './schema.js'

const SUBPATH = '@a3s-lab/lane/bullmq'
/** Most of one transaction: other processes wait for it. */
const MOST = 12
/** Between two looks whether the connection that listens is alive, and how long that may take. */
const BEAT_MS = 5000
/** Longest text that NOTIFY takes is 7,999 bytes. */
const LONGEST_NOTE = 7000
/** A process that stands still inside a transaction keeps the lock of its namespace no longer than that. */
const IDLE_MS = 2000

/** What is known when a transaction works. */
export type Transaction = {
  readonly query: <Row extends object>(text: string, values?: readonly unknown[]) => Promise<readonly Row[]>
  /** The server's clock, Unix milliseconds. */
  readonly now: number
}

type Work = {
  readonly body: (tx: Transaction, isAgain: boolean) => Promise<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly until: number
  isAgain: boolean
}

export type DatabaseEvents = {
  readonly onUp: () => void
  readonly onDown: () => void
  readonly onListening: () => void
}

type Handler = (channel: string, text: string) => void

export class Database {
  readonly #options: CheckedOptions
  readonly #settings: PostgresSettings
  readonly #clock: Clock
  readonly #waiting: Work[] = []
  readonly #channels = new Map<string, Handler>()
  readonly #changed = new Set<() => void>()
  readonly #names = new Map<string, string>()
  #events: DatabaseEvents | undefined
  #work: PgLink | undefined
  #listen: PgLink | undefined
  #beat: object | number | undefined
  #isWorking = false
  #isClosed = false
  #version = ''

  constructor(options: CheckedOptions, settings: PostgresSettings) {
    this.#options = options
    this.#settings = settings
    this.#clock = options.clock
  }

  get isUp(): boolean {
    return !this.#isClosed && this.#work?.isUp === true
  }

  /** Where all processes of the namespace listen. */
  get channel(): string {
    return `lane:${this.#settings.schema}:all`
  }

  get facts(): Readonly<Record<string, string | number | boolean>> {
    const links = [this.#work, this.#listen]
    return {
      engine: 'bullmq-postgres',
      experimental: true,
      connections: links.filter((link) => link?.isUp === true).length,
      connected: this.isUp,
      ...(this.#version === '' ? {} : { server: `postgres ${this.#version}` }),
    }
  }

  /** Connects, makes what is not there, and begins to listen. */
  async open(events: DatabaseEvents): Promise<void> {
    const { Client: PgClient } = (await importPeer<{ default: { Client: ClientClass } }>('pg', SUBPATH)).default
    const bullmq = await importPeer<{ runMigrations: typeof runMigrations }>('bullmq', SUBPATH)
    this.#events = events
    const make = (): Client => new PgClient(this.#config())
    const { clock, random } = this.#options
    this.#work = new PgLink(make, clock, random, {
      prepare: (client) => this.#prepare(client, bullmq.runMigrations),
      onUp: () => this.#up(),
      onDown: () => this.#down(),
    })
    this.#listen = new PgLink(make, clock, random, {
      prepare: (client) => this.#attend(client),
      onUp: () => this.#events?.onListening(),
      onDown: () => undefined,
    })
    const until = clock.now() + this.#options.connectTimeoutMs
    await this.#connected(this.#work, until)
    await this.#connected(this.#listen, until)
    this.#beatLater()
  }

  /** Does it in a transaction that holds the lock of the namespace. */
  run<T>(body: (tx: Transaction, isAgain: boolean) => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(unavailable('The engine is closed'))
    return new Promise<T>((resolve, reject) => {
      const until = this.#clock.now() + this.#options.offlineTimeoutMs
      this.#waiting.push({ body, resolve: resolve as (value: unknown) => void, reject, until, isAgain: false })
      if (this.#isWorking) return
      this.#isWorking = true
      // whatever else this turn asks goes along
      if (this.#clock.nextTurn === undefined) queueMicrotask(() => void this.#workOn())
      else this.#clock.nextTurn(() => void this.#workOn())
    })
  }

  /**
   * One statement that needs no lock, ahead of everything that waits: leases run out meanwhile. Done by the connection that
   * listens, which has nothing else to do.
   */
  async runNow<Row extends object>(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    const client = this.#listen?.client
    if (client !== undefined) {
      const dead = this.#clock.setTimer(this.#options.offlineTimeoutMs, () => this.#listen?.cut(), true)
      try {
        return (await client.query<Row>(text, [...values])).rows
      } catch (error) {
        if (!isPgAway(error)) throw error
      } finally {
        this.#clock.clearTimer(dead)
      }
    }
    return this.run(({ query }) => query<Row>(text, values))
  }

  /** Tells whoever listens. A long text is kept for a while, and its number is told. */
  publish(channel: string, text: string): Promise<void> {
    return this.run(({ query, now }) => tell(query, channel, text, now))
  }

  /** From now on, or from the next connection on, which listens to all there is. */
  async subscribe(channels: readonly string[], handler: Handler): Promise<void> {
    for (const channel of channels) this.#channels.set(channel, handler)
    try {
      for (const channel of channels) await this.#listen?.client?.query(`LISTEN ${quoted(channel)}`)
    } catch (error) {
      if (!isPgAway(error)) throw error
    }
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel)
    this.#listen?.client?.query(`UNLISTEN ${quoted(channel)}`).catch(() => undefined)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#beat !== undefined) this.#clock.clearTimer(this.#beat)
    const error = unavailable('The engine is closed')
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    this.#tellChanged()
    await Promise.all([this.#work?.close(), this.#listen?.close()])
  }

  #config(): ClientConfig {
    return {
      ...this.#settings.client,
      application_name: 'lane',
      keepAlive: true,
      connectionTimeoutMillis: Math.min(5000, this.#options.connectTimeoutMs),
    }
  }

  async #connected(link: PgLink, until: number): Promise<void> {
    for (;;) {
      if (this.#isClosed) throw unavailable('The engine is closed')
      try {
        await link.connect()
        return
      } catch (error) {
        const refusal = pgRefusalOf(error)
        if (refusal !== undefined) throw refusal
        if (!isPgAway(error)) throw error
        if (this.#clock.now() >= until) {
          throw unavailable(`The server cannot be reached: ${errorText(error)}`, error)
        }
      }
      await this.#pause(100)
    }
  }

  /** Each new connection that works: the schema may be gone, another server may answer. */
  async #prepare(client: Client, migrate: typeof runMigrations): Promise<void> {
    await client.query(`SET search_path TO "${this.#settings.schema}"`)
    await client.query(`SET idle_in_transaction_session_timeout = ${IDLE_MS}`)
    // looked through whole by the first of them
    if (this.#version !== '' && (await isPrepared(client))) return
    const { rows } = await client.query<{ durable: string }>("SELECT current_setting('fsync') AS durable")
    if (rows[0]?.durable !== 'on' && !this.#options.allowEviction) {
      throw pgInvalid(
        "the server's fsync is off: it may lose accepted commands. Set it to on, or pass allowEviction: true",
      )
    }
    this.#version = await prepareSchema(client, this.#settings.schema, migrate)
  }

  async #attend(client: Client): Promise<void> {
    await client.query(`SET search_path TO "${this.#settings.schema}"`)
    client.on('notification', ({ channel, payload = '' }) => this.#heard(channel, payload))
    for (const channel of this.#channels.keys()) await client.query(`LISTEN ${quoted(channel)}`)
  }

  #heard(channel: string, note: string): void {
    const handler = this.#channels.get(channel)
    if (handler === undefined) return
    const number = /^#(\d+)$/.exec(note)?.[1]
    if (number === undefined) {
      handler(channel, note)
      return
    }
    this.#listen?.client?.query<{ text: string }>('SELECT text FROM lane_message WHERE id = $1', [number]).then(
      ({ rows }) => rows[0] !== undefined && handler(channel, rows[0].text),
      () => undefined, // lost, as a message may be
    )
  }

  #up(): void {
    this.#tellChanged()
    this.#events?.onUp()
  }

  #down(): void {
    this.#tellChanged()
    this.#events?.onDown()
  }

  #tellChanged(): void {
    for (const goOn of [...this.#changed]) goOn()
  }

  #whenChanged(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#changed.delete(done)
        this.#clock.clearTimer(timer)
        resolve()
      }
      const timer = this.#clock.setTimer(Math.max(1, ms), done)
      this.#changed.add(done)
    })
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.setTimer(ms, resolve))
  }

  async #workOn(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#expire()
      const first = this.#waiting[0]
      const client = this.#work?.client
      if (first === undefined) break
      if (client === undefined) await this.#whenChanged(first.until - this.#clock.now())
      else await this.#group(client, this.#waiting.splice(0, MOST))
    }
    this.#isWorking = false
  }

  #expire(): void {
    const now = this.#clock.now()
    const late = this.#waiting.filter(({ until }) => until <= now)
    if (late.length === 0) return
    const left = this.#waiting.filter(({ until }) => until > now)
    this.#waiting.splice(0, this.#waiting.length, ...left)
    const why = this.isUp ? 'The server does not answer in time' : 'The server cannot be reached: no connection'
    for (const { reject } of late) reject(unavailable(why))
  }

  /** One transaction. When one of it fails, each gets a transaction of its own. */
  async #group(client: Client, group: readonly Work[]): Promise<void> {
    const until = Math.min(...group.map((work) => work.until))
    const guard = this.#clock.setTimer(Math.max(1, until - this.#clock.now()), () => this.#work?.cut(), true)
    try {
      const values = await this.#transaction(client, group)
      for (const [at, { resolve }] of group.entries()) resolve(values[at])
    } catch (error) {
      if (this.#isClosed) for (const { reject } of group) reject(unavailable('The engine is closed', error))
      else if (isPgAway(error) || this.#work?.client !== client) this.#againLater(group)
      else await this.#apart(client, group, error)
    } finally {
      this.#clock.clearTimer(guard)
    }
  }

  async #transaction(client: Client, group: readonly Work[]): Promise<readonly unknown[]> {
    const begun = (await client.query(
      `BEGIN; SELECT pg_advisory_xact_lock(${lockOf(this.#settings.schema)}); SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now`,
    )) as unknown as readonly { readonly rows: readonly { readonly now: string }[] }[]
    const now = Number(begun[2]?.rows[0]?.now)
    const query = async <Row extends object>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> =>
      (await client.query<Row>({ name: this.#nameOf(text), text, values: [...values] })).rows
    const answers: unknown[] = []
    for (const { body, isAgain } of group) answers.push(await body({ query, now }, isAgain))
    await client.query('COMMIT')
    return answers
  }

  /** Under its name a statement is parsed once by each connection: there are some forty, always the same. */
  #nameOf(text: string): string {
    let name = this.#names.get(text)
    if (name === undefined) {
      name = `lane ${this.#names.size}`
      this.#names.set(text, name)
    }
    return name
  }

  async #apart(client: Client, group: readonly Work[], error: unknown): Promise<void> {
    await client.query('ROLLBACK').catch(() => undefined)
    const [only] = group
    if (group.length > 1) {
      for (const work of group) {
        if (this.#work?.client === client) await this.#group(client, [work])
        else this.#againLater([work])
      }
    } else if (isPgInTheWay(error)) this.#waiting.unshift(only as Work)
    else only?.reject(pgRefusalOf(error) ?? error)
  }

  /** Nobody knows whether it was done. */
  #againLater(group: readonly Work[]): void {
    for (const work of group) work.isAgain = true
    this.#waiting.unshift(...group)
  }

  /** A connection on which nothing is said may have been cut without a word. */
  #beatLater(): void {
    this.#beat = this.#clock.setTimer(
      BEAT_MS,
      () => {
        const client = this.#listen?.client
        const dead = this.#clock.setTimer(BEAT_MS, () => this.#listen?.cut(), true)
        const alive = (): void => this.#clock.clearTimer(dead)
        if (client === undefined) alive()
        else client.query('SELECT 1').then(alive, alive)
        if (!this.#isClosed) this.#beatLater()
      },
      true,
    )
  }
}

/** Tells a channel when the transaction is over. */
export async function tell(query: Transaction['query'], channel: string, text: string, now: number): Promise<void> {
  if (Buffer.byteLength(text) <= LONGEST_NOTE) {
    await query('SELECT pg_notify($1, $2)', [channel, text])
    return
  }
  await query(
    `WITH kept AS (INSERT INTO lane_message (text, at_ms) VALUES ($2, $3) RETURNING id)
     SELECT pg_notify($1, '#' || id) FROM kept`,
    [channel, text, Math.floor(now)],
  )
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
