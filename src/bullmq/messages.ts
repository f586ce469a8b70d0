/**
 * What processes tell each other over the server's channels: outcomes to those who wait, progress, wishes to cancel, and
 * changes of lanes. What is said in one turn of the event loop goes out as one message per receiver; what is for this
 * process does not leave it. Messages may be lost: whatever matters is also kept with its command.
 */
import type { Clock, EngineOutcome, EngineUse } from '../core/index.js'

/** An outcome on its way: id, lane, state, result, error. */
type Packed = readonly [string, string, EngineOutcome['state'], string | null, string | null]

type Mail = { readonly outcomes: EngineOutcome[]; readonly progress: Map<string, string> }

/** What carries messages between processes. One may be lost. */
export type Channels = {
  readonly isUp: boolean
  readonly subscribe: (channels: readonly string[], onMessage: (channel: string, text: string) => void) => Promise<void>
  readonly publish: (channel: string, text: string) => Promise<unknown>
}

/** The channel of all processes, and that of one. */
export type ChannelNames = { readonly channel: string; readonly channelTo: (instanceId: string) => string }

/** What all processes are told. */
export type Announcement =
  | { readonly kind: 'lane'; readonly laneId: string; readonly isPaused?: boolean; readonly limits?: string }
  | { readonly kind: 'cancel'; readonly id: string; readonly reason: string }
  /** Their rates allow something sooner than was said. */
  | { readonly kind: 'rate'; readonly laneIds: readonly string[] }

export class Messages {
  readonly #channels: Channels
  readonly #names: ChannelNames
  readonly #use: EngineUse
  readonly #clock: Clock
  readonly #mails = new Map<string, Mail>()
  #isScheduled = false

  constructor(channels: Channels, names: ChannelNames, use: EngineUse, clock: Clock) {
    this.#channels = channels
    this.#names = names
    this.#use = use
    this.#clock = clock
  }

  /** Begins to listen. */
  async listen(onAnnouncement: (announcement: Announcement) => void): Promise<void> {
    const own = this.#names.channelTo(this.#use.instanceId)
    await this.#channels.subscribe([own, this.#names.channel], (channel, text) => {
      try {
        if (channel === own) this.#receive(text)
        else onAnnouncement(JSON.parse(text) as Announcement)
      } catch (error) {
        this.#use.onFault(error)
      }
    })
  }

  /** An outcome, to whoever waits for it: the submitter, and others that met its command. */
  outcome(replyTo: string | undefined, waiters: string | null | undefined, outcome: EngineOutcome): void {
    if (replyTo !== undefined && replyTo !== '') this.#mailTo(replyTo).outcomes.push(outcome)
    if (!waiters) return
    for (const instanceId of waiters.split(',')) this.#mailTo(instanceId).outcomes.push(outcome)
  }

  /** What a handler reports: the last of a turn counts. */
  progress(replyTo: string | undefined, id: string, value: string): void {
    if (replyTo !== undefined) this.#mailTo(replyTo).progress.set(id, value)
  }

  announce(announcement: Announcement): void {
    this.#publish(this.#names.channel, JSON.stringify(announcement))
  }

  #mailTo(instanceId: string): Mail {
    let mail = this.#mails.get(instanceId)
    if (mail === undefined) {
      mail = { outcomes: [], progress: new Map() }
      this.#mails.set(instanceId, mail)
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true
      const flush = (): void => this.#flush()
      if (this.#clock.nextTurn === undefined) queueMicrotask(flush)
      else this.#clock.nextTurn(flush)
    }
    return mail
  }

  #flush(): void {
    this.#isScheduled = false
    for (const [instanceId, mail] of this.#mails) {
      if (instanceId === this.#use.instanceId) this.#deliver(mail.outcomes, mail.progress)
      else this.#publish(this.#names.channelTo(instanceId), packed(mail))
    }
    this.#mails.clear()
  }

  #publish(channel: string, text: string): void {
    // what is lost is looked for by those who wait
    if (this.#channels.isUp) this.#channels.publish(channel, text).catch(() => undefined)
  }

  #receive(text: string): void {
    const { outcomes, progress } = JSON.parse(text) as { outcomes: Packed[]; progress: [string, string][] }
    this.#deliver(outcomes.map(unpacked), new Map(progress))
  }

  #deliver(outcomes: readonly EngineOutcome[], progress: ReadonlyMap<string, string>): void {
    for (const [id, value] of progress) this.#use.onProgress(id, value)
    if (outcomes.length > 0) this.#use.onOutcomes(outcomes)
  }
}

const packed = ({ outcomes, progress }: Mail): string =>
  JSON.stringify({
    outcomes: outcomes.map(({ id, laneId, state, result, error }) => [
      id,
      laneId,
      state,
      result ?? null,
      error ?? null,
    ]),
    progress: [...progress],
  })

const unpacked = ([id, laneId, state, result, error]: Packed): EngineOutcome => ({
  id,
  laneId,
  state,
  result: result ?? undefined,
  error: error ?? undefined,
})
