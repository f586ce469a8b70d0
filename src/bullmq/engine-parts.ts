/** The parts of an engine that a queue uses, from its opening to its end. */
import type { EngineUse } from '../core/index.js'
import { Lanes } from './lanes.js'
import { LostOutcomes } from './lost-outcomes.js'
import { type Announcement, Messages } from './messages.js'
import type { CheckedOptions } from './options.js'
import { Reports } from './reports.js'
import type { ConnectionEvents, ServerSide } from './server-side.js'
import { Sweep } from './sweep.js'

export class EngineParts {
  readonly clusterEvents: ServerSide['clusterEvents']
  readonly lanes: Lanes
  readonly leases: ReturnType<ServerSide['leases']>
  readonly looks: ServerSide['looks']
  readonly reports: Reports
  readonly submissions: ReturnType<ServerSide['submissions']>
  readonly sweep: Sweep
  readonly wakeUps: ServerSide['wakeUps']
  readonly #lost: LostOutcomes
  readonly #messages: Messages
  readonly #options: CheckedOptions
  readonly #use: EngineUse
  #isDown = false

  constructor(side: ServerSide, options: CheckedOptions, use: EngineUse) {
    const { clock } = options
    this.#options = options
    this.#use = use
    this.#messages = new Messages(side.channels, side.names, use, clock)
    this.clusterEvents = side.clusterEvents
    this.lanes = new Lanes(side.lanes, this.#messages, use, clock)
    this.leases = side.leases(this.#messages)
    this.looks = side.looks
    this.reports = new Reports(side.keepReport, this.#messages, clock)
    this.submissions = side.submissions(this.#messages)
    this.sweep = new Sweep(side.swept, this.leases, use, options)
    this.wakeUps = side.wakeUps
    this.#lost = new LostOutcomes(side.commands, use, clock)
  }

  /** What the connections tell this queue. */
  readonly events: ConnectionEvents = {
    onUp: () => {
      if (!this.#isDown) return
      this.#isDown = false
      this.#use.onConnection(true)
      this.lanes.look()
      this.#lost.lookForAll()
      this.wakeUps.lookAtAll()
    },
    onDown: () => {
      if (this.#isDown) return
      this.#isDown = true
      this.#use.onConnection(false)
    },
    onListening: () => {
      this.lanes.look()
      this.#lost.lookForAll()
    },
  }

  /** Takes the lanes in and begins to listen, to look and to sweep. */
  async start(): Promise<void> {
    const { reconfigure, role } = this.#options
    await this.#messages.listen((announcement) => this.#announced(announcement))
    await this.lanes.takeIn(this.#use.lanes, reconfigure)
    this.lanes.start()
    this.#lost.start()
    if (role === 'coordinator') return
    this.wakeUps.start()
    this.sweep.start()
  }

  close(): void {
    this.clusterEvents.close()
    this.wakeUps.close()
    this.sweep.close()
    this.lanes.close()
    this.#lost.close()
  }

  /** Also where a lane is not watched: whoever was refused for its rate waits for the instant that it was told. */
  #richer(laneIds: readonly string[]): void {
    for (const { laneId } of this.#use.lanes) if (laneIds.includes(laneId)) this.#use.onWork(laneId)
  }

  #announced(announcement: Announcement): void {
    if (announcement.kind === 'lane') this.lanes.changed(announcement)
    else if (announcement.kind === 'rate') this.#richer(announcement.laneIds)
    else if (this.leases.has(announcement.id)) this.#use.onCancel(announcement.id, announcement.reason)
  }
}
