/** What an engine needs of the server that keeps its commands: Redis and Postgres have one each. */
import type { EngineUse } from '../core/index.js'
import type { ClusterEvents } from './cluster-events.js'
import type { LaneStore } from './lanes.js'
import type { Leases } from './leases.js'
import type { Looks } from './looks.js'
import type { Commands } from './lost-outcomes.js'
import type { ChannelNames, Channels, Messages } from './messages.js'
import type { KeepReport } from './reports.js'
import type { Submissions } from './submissions.js'
import type { Swept } from './sweep.js'
import type { WakeUps } from './wake-ups.js'

/** What the connections tell. */
export type ConnectionEvents = {
  readonly onUp: () => void
  readonly onDown: () => void
  /** The connection that listens is there again: what was said meanwhile is lost. */
  readonly onListening: () => void
}

/** The connections of a process. */
export type ServerConnections = {
  readonly facts: Readonly<Record<string, string | number | boolean>>
  open(events: ConnectionEvents): Promise<void>
  close(): Promise<void>
  side(use: EngineUse): ServerSide
}

export type ServerSide = {
  readonly channels: Channels
  readonly names: ChannelNames
  readonly lanes: LaneStore
  readonly commands: Commands
  readonly swept: Swept
  readonly keepReport: KeepReport
  readonly looks: Pick<Looks, 'find' | 'list' | 'counts' | 'letters' | 'removeLetters'>
  readonly wakeUps: Pick<WakeUps, 'start' | 'watch' | 'lookAtAll' | 'close'>
  readonly clusterEvents: Pick<ClusterEvents, 'listen' | 'close'>
  readonly submissions: (messages: Messages) => Pick<Submissions, 'add'>
  readonly leases: (messages: Messages) => Pick<Leases, 'claim' | 'end' | 'renew' | 'save' | 'charge' | 'has' | 'count'>
}
