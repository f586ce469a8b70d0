/**
 * The three connections of a process: one for everything that is asked, one that waits for work, one that listens. Each
 * comes back by itself for as long as the engine is open. A call waits for the server up to a limit, and is sent once
 * more when its answer was lost: whoever sends it makes sure that this does no harm.
 */
import type { RedisConnection } from 'bullmq'
import type { Cluster, Redis, RedisOptions } from 'ioredis'
import { type Clock, configInvalid, errorText } from '../core/index.js'
import { importPeer } from '../peer/index.js'
import type { CheckedOptions } from './options.js'
import { PendingCalls } from './pending-calls.js'
import { defineScripts } from './scripts.js'
import { checkServer, isAway, refusalOf, type ServerFacts, unavailable } from './server-check.js'
import type { ConnectionEvents } from './server-side.js'

const SUBPATH = '@a3s-lab/lane/bullmq'
const LONGEST_PAUSE_MS = 1000
/** Between two tries of a call whose answer was lost. */
const AGAIN_MS = 20
const CLOSE_MS = 2000
/** A connection on which nothing is said is not to be forgotten by what is on its way. */
const KEEP_ALIVE_MS = 30_000

const OURS = { lazyConnect: true, enableReadyCheck: true } as const
/** What is unanswered when a connection is lost is refused at once, and sent again by whoever asked. */
const UNANSWERED = {
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // done here: when the client does it and is cut off again meanwhile, nobody handles its rejection
  autoResubscribe: false,
} as const

/** How long an answer may take is known here: a limit for all commands would end the waits of a blocking read. */
const UNLIMITED: object = { commandTimeout: undefined, socketTimeout: undefined, blockingTimeout: undefined }

const pauseAfter = (times: number): number => Math.min(25 * 2 ** times, LONGEST_PAUSE_MS)

const isCluster = (client: Redis | Cluster): client is Cluster => client.isCluster

type RedisClass = new (...args: readonly unknown[]) => Redis

export class Connections {
  readonly #options: CheckedOptions
  readonly #clock: Clock
  readonly #calls: PendingCalls
  #events: ConnectionEvents | undefined
  #clients: readonly Redis[] = []
  readonly #waiting = new Set<() => void>()
  #server: ServerFacts | undefined
  #isClosed = false
  #isOpen = false
  #lastError: unknown
  #blockingId = 0
  #channels: readonly string[] = []

  constructor(options: CheckedOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#calls = new PendingCalls(options.clock, () => this.#anew())
  }

  get main(): Redis {
    return this.#clients[0] as Redis
  }

  get blocking(): Redis {
    return this.#clients[1] as Redis
  }

  get subscriber(): Redis {
    return this.#clients[2] as Redis
  }

  get count(): number {
    return this.#clients.filter(({ status }) => status !== 'end').length
  }

  get server(): ServerFacts | undefined {
    return this.#server
  }

  get isUp(): boolean {
    return !this.#isClosed && this.#clients[0]?.status === 'ready'
  }

  /** Whether a blocking read can be ended from another connection: in a cluster nobody knows which node that would have to go to. */
  get canUnblock(): boolean {
    return !this.blocking.isCluster
  }

  /** Connects, looks whether the server suits, and defines the scripts on it. */
  async open(events: ConnectionEvents): Promise<void> {
    const { RedisConnection: Connection } = await importPeer<{ RedisConnection: typeof RedisConnection }>(
      'bullmq',
      SUBPATH,
    )
    const { Redis: Client } = await importPeer<{ Redis: RedisClass }>('ioredis', SUBPATH)
    // closed meanwhile, it would never hear of what is made now
    if (this.#isClosed) throw closedError()
    this.#clients = ['main', 'blocking', 'subscriber'].map(() => this.#newClient(Client))
    for (const client of this.#clients) this.#follow(client)
    const until = this.#clock.now() + this.#options.connectTimeoutMs
    await Promise.all(this.#clients.map((client) => this.#connected(client)))
    await this.#meet(until)
    await defineScripts(this.main, Connection)
    this.#isOpen = true
    this.#events = events
  }

  /** Looks whether the server suits; once more when a connection is lost meanwhile. */
  async #meet(until: number): Promise<void> {
    for (;;) {
      if (this.#isClosed) throw closedError()
      try {
        const appendFsync = await this.main.config('GET', 'appendfsync').catch(() => [])
        const info = await this.main.info()
        this.#server = checkServer(info, this.#options.allowEviction, (appendFsync as string[])[1])
        if (this.canUnblock) this.#blockingId = await this.blocking.client('ID')
        return
      } catch (error) {
        if (!isAway(error)) throw error
        if (this.#clock.now() >= until) throw unavailable('The server was lost before it answered', error)
      }
      await this.#pause(AGAIN_MS)
    }
  }

  /**
   * Sends something, waits for its answer within the limit of time, and sends it again when the connection was lost on
   * the way: `isAgain` says so. `ENGINE_UNAVAILABLE` when the time is over.
   */
  async call<T>(send: (isAgain: boolean) => Promise<T>): Promise<T> {
    const until = this.#clock.now() + this.#options.offlineTimeoutMs
    for (let isAgain = false; ; isAgain = true) {
      if (!this.isUp) await this.#up(until)
      try {
        return await this.#calls.within(send(isAgain), until)
      } catch (error) {
        if (this.#isClosed) throw closedError()
        if (!isAway(error)) throw this.#told(error)
        if (this.#clock.now() + AGAIN_MS >= until) throw unavailable('The server was lost before it answered', error)
        await this.#pause(AGAIN_MS)
      }
    }
  }

  /** One further connection, for as long as somebody needs it; `drop` ends it. */
  async further(): Promise<Redis> {
    const { Redis: Client } = await importPeer<{ Redis: RedisClass }>('ioredis', SUBPATH)
    if (this.#isClosed) throw closedError()
    const client = this.#newClient(Client)
    this.#clients = [...this.#clients, client]
    this.#follow(client)
    try {
      await this.#connected(client)
      return client
    } catch (error) {
      this.drop(client)
      throw error
    }
  }

  drop(client: Redis): void {
    this.#clients = this.#clients.filter((one) => one !== client)
    client.disconnect()
  }

  /** Listens to channels, again after each time that the connection was lost. */
  async subscribe(channels: readonly string[], onMessage: (channel: string, text: string) => void): Promise<void> {
    this.#channels = channels
    this.subscriber.on('message', onMessage)
    try {
      await this.subscriber.subscribe(...channels)
    } catch (error) {
      // the next connection listens to all of them
      if (this.#isClosed || !isAway(error)) throw error
    }
  }

  /** Nobody answers on a connection that seems to be there: another one may be answered. */
  #anew(): void {
    if (this.isUp) for (const client of [this.main, this.subscriber]) client.disconnect(true)
  }

  /** Ends the wait of the blocking connection, so that it begins another one. */
  unblock(): void {
    if (this.isUp && this.#blockingId > 0) this.main.client('UNBLOCK', this.#blockingId).catch(() => undefined)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#tellWaiting()
    this.#calls.close(closedError())
    const [main, ...others] = this.#clients
    for (const client of others) client.disconnect()
    if (main?.status === 'ready') await this.#quit(main)
    main?.disconnect()
  }

  async #quit(main: Redis): Promise<void> {
    let timer: unknown
    const limit = new Promise<void>((resolve) => {
      timer = this.#clock.setTimer(CLOSE_MS, resolve)
    })
    await Promise.race([main.quit().catch(() => undefined), limit])
    this.#clock.clearTimer(timer as object)
  }

  #newClient(Client: RedisClass): Redis {
    const { connection } = this.#options
    const ours: RedisOptions = {
      ...OURS,
      ...UNANSWERED,
      ...UNLIMITED,
      enableOfflineQueue: false,
      retryStrategy: pauseAfter,
    }
    if (typeof connection === 'string') return new Client(connection, { keepAlive: KEEP_ALIVE_MS, ...ours })
    const prefix = 'duplicate' in connection ? connection.options.keyPrefix : connection.keyPrefix
    if (prefix !== undefined && prefix !== '') {
      throw configInvalid('BullMQEngine connection.keyPrefix', 'left out: BullMQ takes none', prefix)
    }
    if (!('duplicate' in connection)) return new Client({ keepAlive: KEEP_ALIVE_MS, ...connection, ...ours })
    if (!isCluster(connection)) return connection.duplicate(ours)
    // its nodes are connected only when something is sent to them
    const overCluster = { ...OURS, redisOptions: { ...UNANSWERED, ...UNLIMITED }, clusterRetryStrategy: pauseAfter }
    // the commands that are sent here are the same on both
    return connection.duplicate([], overCluster) as unknown as Redis
  }

  #follow(client: Redis): void {
    client.on('error', (error) => {
      this.#lastError = error
    })
    client.on('ready', () => {
      if (!this.#isOpen || this.#isClosed) return
      if (client === this.main) {
        this.#tellWaiting()
        this.#events?.onUp()
      } else if (client === this.subscriber) this.#listenAgain()
      else if (client === this.blocking) this.#learnId()
      else this.#tellWaiting()
    })
    client.on('close', () => {
      if (client === this.main && this.#isOpen && !this.#isClosed) this.#events?.onDown()
    })
  }

  #listenAgain(): void {
    this.subscriber.subscribe(...this.#channels).then(
      () => this.#events?.onListening(),
      // it is lost again: its next return does this once more
      () => undefined,
    )
  }

  #learnId(): void {
    this.#blockingId = 0
    this.#tellWaiting()
    if (!this.canUnblock) return
    this.blocking.client('ID').then(
      (id) => {
        this.#blockingId = id
      },
      () => undefined,
    )
  }

  /** The first connection: an answer that waiting does not change ends it, and so does the limit of time. */
  #connected(client: Redis): Promise<void> {
    return new Promise((resolve, reject) => {
      const { connectTimeoutMs } = this.#options
      const timer = this.#clock.setTimer(connectTimeoutMs, () => {
        done()
        const why = this.#lastError === undefined ? 'it does not answer' : errorText(this.#lastError)
        reject(unavailable(`The server was not reached within ${connectTimeoutMs} ms: ${why}`, this.#lastError))
      })
      const onError = (error: unknown): void => {
        const refusal = refusalOf(error)
        if (refusal === undefined) return
        done()
        reject(refusal)
      }
      const onReady = (): void => {
        done()
        resolve()
      }
      const onEnd = (): void => {
        done()
        reject(closedError())
      }
      const done = (): void => {
        this.#clock.clearTimer(timer)
        client.off('error', onError)
        client.off('ready', onReady)
        client.off('end', onEnd)
      }
      client.on('error', onError)
      client.once('ready', onReady)
      client.once('end', onEnd)
      client.connect().catch(onError)
    })
  }

  /** Waits until the main connection is there. */
  async #up(until: number): Promise<void> {
    while (!this.isUp) {
      if (this.#isClosed) throw closedError()
      const left = until - this.#clock.now()
      if (left <= 0)
        throw unavailable(`The server is away: ${errorText(this.#lastError ?? 'no connection')}`, this.#lastError)
      await this.whenChanged(left)
    }
  }

  /** Resolves when a connection has come back, the engine closes, or after a time. */
  whenChanged(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const tell = (): void => {
        this.#waiting.delete(tell)
        this.#clock.clearTimer(timer)
        resolve()
      }
      const timer = this.#clock.setTimer(ms, tell)
      this.#waiting.add(tell)
    })
  }

  #tellWaiting(): void {
    for (const tell of [...this.#waiting]) tell()
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.setTimer(ms, resolve))
  }

  #told(error: unknown): unknown {
    return refusalOf(error) ?? error
  }
}

const closedError = (): Error => unavailable('The engine is closed')
