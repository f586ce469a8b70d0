/** One connection to Postgres that comes back by itself for as long as it is wanted. */
import type { Client, ClientConfig } from 'pg'
import type { Clock, Random } from '../../core/index.js'

const LONGEST_PAUSE_MS = 1000

export type ClientClass = new (config: ClientConfig) => Client

export type LinkHooks = {
  /** What each new connection is told before it counts as there. */
  readonly prepare: (client: Client) => Promise<void>
  readonly onUp: () => void
  readonly onDown: (error: unknown) => void
}

export class PgLink {
  readonly #make: () => Client
  readonly #clock: Clock
  readonly #random: Random
  readonly #hooks: LinkHooks
  #client: Client | undefined
  #isUp = false
  #isClosed = false
  #tries = 0

  constructor(make: () => Client, clock: Clock, random: Random, hooks: LinkHooks) {
    this.#make = make
    this.#clock = clock
    this.#random = random
    this.#hooks = hooks
  }

  get isUp(): boolean {
    return this.#isUp
  }

  /** The present connection, while there is one. */
  get client(): Client | undefined {
    return this.#isUp ? this.#client : undefined
  }

  /** One try. Rejects with what was wrong. */
  async connect(): Promise<void> {
    const client = this.#make()
    this.#client = client
    let isOver = false
    const end = (error: unknown): void => {
      if (isOver) return
      isOver = true
      if (this.#client !== client || !this.#isUp) return
      this.#isUp = false
      if (this.#isClosed) return
      this.#hooks.onDown(error)
      this.#again()
    }
    client.on('error', end)
    client.on('end', () => end(new Error('Connection terminated')))
    try {
      await client.connect()
      await this.#hooks.prepare(client)
    } catch (error) {
      isOver = true
      drop(client)
      throw error
    }
    if (this.#isClosed || isOver) {
      drop(client)
      throw new Error('Connection terminated')
    }
    this.#isUp = true
    this.#tries = 0
    this.#hooks.onUp()
  }

  /** Ends the present connection as if it had been lost. */
  cut(): void {
    if (this.#client !== undefined) drop(this.#client)
  }

  close(): Promise<void> {
    this.#isClosed = true
    this.#isUp = false
    const client = this.#client
    if (client === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      const limit = this.#clock.setTimer(1000, () => {
        drop(client)
        resolve()
      })
      const done = (): void => {
        this.#clock.clearTimer(limit)
        resolve()
      }
      client.end().then(done, done)
    })
  }

  #again(): void {
    const pauseMs = Math.min(25 * 2 ** this.#tries++, LONGEST_PAUSE_MS) * (0.5 + this.#random.next() / 2)
    this.#clock.setTimer(
      pauseMs,
      () => {
        if (!this.#isClosed) this.connect().catch(() => this.#again())
      },
      true,
    )
  }
}

/** Without a farewell: the server may be silent. */
function drop(client: Client): void {
  client.on('error', () => undefined)
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection
  stream.destroy()
}
