/** A queue on a storage in memory, in virtual time, which a test may crash and open again. */
import { type LaneDefinition, type LaneEvent, QueueManager, type QueueOptions } from '@a3s-lab/lane'
import { type EventRecorder, MemoryStorage, recordEvents, seededRandom, VirtualClock } from '@a3s-lab/lane/testing'

export type DurableOptions = Omit<QueueOptions, 'lanes' | 'clock' | 'random' | 'storage'>
export type DurableLanes = Readonly<Record<string, Partial<LaneDefinition>>>

/** One process after the other on one storage. */
export class Durable implements AsyncDisposable {
  readonly clock: VirtualClock
  readonly storage: MemoryStorage
  readonly queue: QueueManager
  readonly recorder: EventRecorder
  readonly faults: unknown[] = []
  readonly lanes: DurableLanes
  readonly #options: DurableOptions
  #hasCrashed = false

  constructor(lanes: DurableLanes, options: DurableOptions, storage = new MemoryStorage(), clock = new VirtualClock()) {
    this.lanes = lanes
    this.#options = options
    this.storage = storage
    this.clock = clock
    const definitions = Object.entries(lanes).map(([id, lane], index) => [id, { priority: index, ...lane }])
    this.queue = new QueueManager({
      deadLetters: 100,
      onFault: (error) => this.faults.push(error),
      ...options,
      lanes: Object.fromEntries(definitions) as Record<string, LaneDefinition>,
      storage,
      clock,
      random: seededRandom(1),
    })
    this.recorder = recordEvents(this.queue)
  }

  /** The process ends without a word; the next one, not yet started. */
  crash(lanes = this.lanes, options = this.#options): Durable {
    this.#hasCrashed = true
    this.recorder.stop()
    return new Durable(lanes, options, this.storage.crash(), this.clock)
  }

  /** Keys of the events so far, without their first word; those of one command when an id is given. */
  keys(commandId?: string): string[] {
    const isAbout = ({ payload }: LaneEvent): boolean =>
      commandId === undefined || (payload as { command_id?: string } | null)?.command_id === commandId
    return this.recorder.events.filter(isAbout).map(({ key }) => key.replace('queue.', '').replace('command.', ''))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasCrashed) return
    const closed = this.queue.close({ timeoutMs: 1 })
    await this.clock.advance(2000)
    await closed
    this.recorder.stop()
  }
}

/** A started queue on a fresh storage. */
export async function durable(
  lanes: DurableLanes = { work: {} },
  options: DurableOptions & { readonly storage?: MemoryStorage } = {},
): Promise<Durable> {
  const { storage, ...more } = options
  const t = new Durable(lanes, more, storage)
  await t.queue.start()
  return t
}

/** A storage whose writes a test lets through, or fails, one by one. */
export function steeredStorage(): { storage: MemoryStorage; writes: SteeredWrite[] } {
  const writes: SteeredWrite[] = []
  const storage = new MemoryStorage({
    write: (commit) =>
      new Promise((resolve, reject) => {
        writes.push({
          commit,
          done: () => {
            commit()
            resolve()
          },
          fail: reject,
        })
      }),
  })
  return { storage, writes }
}

export type SteeredWrite = {
  readonly commit: () => void
  readonly done: () => void
  readonly fail: (error: Error) => void
}
