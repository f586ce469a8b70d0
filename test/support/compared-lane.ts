/** A lane with most of its backlog in the storage, beside a plain list of what should wait in it. */
import { MemoryStorage } from '@a3s-lab/lane/testing'
import fc from 'fast-check'
import { type Durable, durable } from './durable.js'

export type Step = { readonly kind: 'submit' | 'take' | 'cancel' | 'crash'; readonly n: number }
const kinds: readonly Step['kind'][] = ['submit', 'submit', 'submit', 'take', 'take', 'cancel', 'crash']
export const script = fc.array(fc.record({ kind: fc.constantFrom(...kinds), n: fc.nat(40) }), { maxLength: 60 })

/** A lane with a window of three, beside a plain list of what waits in it. */
export class ComparedLane {
  #t: Durable
  readonly #lifo: boolean
  readonly #waiting: { id: string; priority: number; n: number }[] = []
  #count = 0
  #seen: unknown[] = []

  private constructor(t: Durable, lifo: boolean) {
    this.#t = t
    this.#lifo = lifo
    this.#begin()
  }

  static async of(order: 'fifo' | 'lifo'): Promise<ComparedLane> {
    const storage = new MemoryStorage({ window: 3 })
    return new ComparedLane(
      await durable({ work: { order, maxConcurrency: 1 } }, { storage, retention: { count: 0 } }),
      order === 'lifo',
    )
  }

  async step({ kind, n }: Step): Promise<void> {
    if (kind === 'submit') await this.#submit(n)
    else if (kind === 'crash') await this.#crash()
    else if (this.#waiting.length > 0) await (kind === 'take' ? this.#take() : this.#cancel(n))
    this.#same('what waits', this.#t.queue.stats().lanes['work']?.pending, this.#waiting.length)
  }

  async close(): Promise<void> {
    await this.#t.queue.close()
  }

  #same(what: string, actual: unknown, expected: unknown): void {
    const [is, shouldBe] = [JSON.stringify(actual), JSON.stringify(expected)]
    if (is !== shouldBe) throw new Error(`${what}: ${is} and not ${shouldBe}`)
  }

  /** One command starts each time that the lane is resumed. */
  #begin(): void {
    const lane = this.#t.queue.lane('work')
    lane.pause()
    this.#t.queue.handle('x', (payload) => {
      lane.pause()
      this.#seen.push(payload)
    })
  }

  async #submit(n: number): Promise<void> {
    for (let more = 0; more < 1 + (n % 7); more++) {
      const priority = (n + more) % 3
      const run = this.#t.queue.submit('work', { type: 'x', payload: this.#count }, { priority })
      await run.accepted
      this.#waiting.push({ id: run.id, priority, n: this.#count++ })
    }
  }

  async #take(): Promise<void> {
    const later = this.#lifo ? -1 : 1
    this.#waiting.sort((a, b) => a.priority - b.priority || later * (a.n - b.n))
    const next = this.#waiting.shift()
    this.#seen = []
    this.#t.queue.lane('work').resume()
    await turns(20)
    this.#same('what starts', this.#seen, [next?.n])
  }

  async #cancel(n: number): Promise<void> {
    const [victim] = this.#waiting.splice(n % this.#waiting.length, 1)
    this.#same('whether it is cancelled', this.#t.queue.cancel(victim?.id as string), true)
    await turns(10)
  }

  async #crash(): Promise<void> {
    this.#t = this.#t.crash()
    this.#begin()
    await this.#t.queue.start()
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}
