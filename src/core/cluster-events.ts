/**
 * The events of all processes that share lanes: what an engine tells, in the form of a queue's own events. The engine is
 * listened to only while somebody here listens, once for all of them.
 */
import { reasonText } from './cancelled-error.js'
import type { Engine, EngineEvent, EngineListening } from './engine.js'
import { type ErrorRecord, LaneError } from './errors.js'
import { EventEmitter, type EventStream, type SubscribeOptions } from './event-stream.js'
import type { EventKey, EventPayloads } from './events.js'
import type { DelayCause } from './lease-end.js'
import { readable } from './shared-command.js'

type Command = { readonly lane_id: string; readonly command_id: string }
type Delayed = Extract<EngineEvent, { kind: 'delayed' }>
type Settled = Extract<EngineEvent, { kind: 'settled' }>
type Tell = <K extends EventKey>(key: K, payload: EventPayloads[K]) => void

type TellingEngine = Engine & Required<Pick<Engine, 'events'>>

const tells = (engine: Engine): engine is TellingEngine => engine.events !== undefined

export class ClusterEvents {
  readonly #engine: Engine
  readonly #opened: () => Promise<void>
  readonly #events: EventEmitter
  /** Until the last one who listens has gone. */
  #listening: Promise<EngineListening> | undefined
  /** The end of the listening before. */
  #ended: Promise<void> = Promise.resolve()

  constructor(engine: Engine, opened: () => Promise<void>, capacity: number) {
    this.#engine = engine
    this.#opened = opened
    this.#events = new EventEmitter(capacity)
    this.#events.onUnheard(() => this.#rest())
  }

  /** Resolves when nothing is missed any more that happens from then on. */
  async subscribe(options?: SubscribeOptions): Promise<EventStream> {
    const engine = this.#engine
    if (!tells(engine)) throw new LaneError('CONFIG_INVALID', 'This engine does not tell what other processes do')
    const stream = this.#events.subscribeFor(this, undefined, options)
    // It has ended already where its signal has aborted, or the queue is closed.
    if (!this.#events.hasSubscribers) return stream
    this.#listening ??= this.#listen(engine)
    try {
      await this.#listening
    } catch (error) {
      stream.close()
      throw error
    }
    return stream
  }

  /** The queue is closed. */
  end(): void {
    this.#events.end(this)
  }

  async #listen(engine: TellingEngine): Promise<EngineListening> {
    await this.#ended
    await this.#opened()
    return engine.events((event) => this.#told(event))
  }

  #rest(): void {
    const listening = this.#listening
    this.#listening = undefined
    if (listening === undefined) return
    this.#ended = listening.then((one) => one.close()).catch(() => undefined)
  }

  #told(event: EngineEvent): void {
    const tell: Tell = (key, payload) => this.#events.publish(key, payload, event.at)
    if (event.kind === 'missed') return tell('events.dropped', { count: event.count })
    const lane = { lane_id: event.laneId }
    if (!('id' in event)) return tell(event.kind === 'paused' ? 'queue.lane.paused' : 'queue.lane.resumed', lane)
    const command = { ...lane, command_id: event.id }
    const { kind } = event
    if (kind === 'started') tell('queue.command.started', { ...command, command_type: event.commandType })
    else if (kind === 'reported') tell('queue.command.progress', { ...command, value: readable(event.value) })
    else if (kind === 'delayed') tellDelayed(tell, command, event)
    else if (kind === 'settled') tellSettled(tell, command, event)
    else tell(kind === 'added' ? 'queue.command.submitted' : 'queue.command.recovered', command)
  }
}

/** A retry has an event of its own. */
function tellDelayed(tell: Tell, command: Command, { delayMs: delay_ms, cause }: Delayed): void {
  const why = readObject<DelayCause>(cause)
  if (why.reason === 'retry') tell('queue.command.retry', { ...command, attempt: why.attempt ?? 1 })
  else tell('queue.command.delayed', { ...command, delay_ms, reason: why.reason ?? 'submitted' })
}

/** As a queue tells it of its own: the letter first. */
function tellSettled(tell: Tell, command: Command, { state, error, commandType, hasLetter }: Settled): void {
  if (hasLetter) tell('queue.command.dead_lettered', { ...command, command_type: commandType })
  if (state === 'completed') return tell('queue.command.completed', command)
  const { code, message = state, fields } = readObject<ErrorRecord>(error)
  if (state === 'cancelled') {
    const reason = reasonText(code === 'COMMAND_CANCELLED' ? fields?.['reason'] : message)
    return tell('queue.command.cancelled', { ...command, reason })
  }
  tell(state === 'failed' ? 'queue.command.failed' : 'queue.command.timeout', { ...command, error: message })
}

/** What another program has written may be anything: then it says nothing. */
function readObject<T extends object>(text: string | undefined): Partial<T> {
  const value = readable(text)
  return typeof value === 'object' && value !== null ? value : {}
}
