/** Redis or Valkey as the server of an engine. */
import type { EngineUse } from '../core/index.js'
import { ClusterEvents } from './cluster-events.js'
import { Connections } from './connections.js'
import { jobIdOf } from './ids.js'
import { namedFields } from './job-form.js'
import { Leases } from './leases.js'
import { Looks } from './looks.js'
import { type Commands, LOST_FIELDS } from './lost-outcomes.js'
import type { Channels } from './messages.js'
import type { CheckedOptions } from './options.js'
import { redisLanes } from './redis-lanes.js'
import { ServerCalls } from './server-calls.js'
import type { ConnectionEvents, ServerConnections, ServerSide } from './server-side.js'
import { Submissions } from './submissions.js'
import { SWEPT_MS, type Swept } from './sweep.js'
import { WakeUps } from './wake-ups.js'

export class RedisConnections implements ServerConnections {
  readonly #options: CheckedOptions
  readonly #connections: Connections

  constructor(options: CheckedOptions) {
    this.#options = options
    this.#connections = new Connections(options)
  }

  get facts(): ServerConnections['facts'] {
    const { server, count, isUp } = this.#connections
    return {
      engine: 'bullmq',
      connections: count,
      connected: isUp,
      ...(server === undefined ? {} : { server: `${server.name} ${server.version}`, appendonly: server.durability }),
    }
  }

  open(events: ConnectionEvents): Promise<void> {
    return this.#connections.open(events)
  }

  close(): Promise<void> {
    return this.#connections.close()
  }

  side(use: EngineUse): ServerSide {
    const options = this.#options
    const { clock } = options
    const connections = this.#connections
    const calls = new ServerCalls(connections, options.namespace)
    return {
      channels: channelsOf(connections),
      names: calls.names,
      lanes: redisLanes(calls, use.now),
      commands: commandsOf(connections, calls),
      swept: sweptOf(connections, calls, use, options),
      keepReport: ({ command: { id, laneId } }, value) => calls.updateProgress(laneId, jobIdOf(id, laneId), value),
      looks: new Looks(calls),
      wakeUps: new WakeUps(connections, calls.names, use, clock),
      clusterEvents: new ClusterEvents(connections, calls.names, use, clock),
      submissions: (messages) => new Submissions(calls, messages, use),
      leases: (messages) => new Leases(calls, messages, use, options),
    }
  }
}

const channelsOf = (connections: Connections): Channels => ({
  get isUp() {
    return connections.isUp
  },
  subscribe: (channels, onMessage) => connections.subscribe(channels, onMessage),
  publish: (channel, text) => connections.main.publish(channel, text),
})

const commandsOf = (connections: Connections, calls: ServerCalls): Commands => ({
  get isUp() {
    return connections.isUp
  },
  async lookUp(wanted) {
    const answers = await calls.pipeline(({ commands }) => {
      for (const { id, laneId } of wanted) {
        commands.hmget(calls.names.prefixOf(laneId) + jobIdOf(id, laneId), ...LOST_FIELDS)
      }
    })
    return answers.map((answer) => namedFields(LOST_FIELDS, answer as readonly (string | null)[]))
  },
})

const sweptOf = (
  connections: Connections,
  calls: ServerCalls,
  use: EngineUse,
  { keepCount, keepAgeSeconds }: CheckedOptions,
): Swept => ({
  get isUp() {
    return connections.isUp
  },
  sweep: () =>
    calls.pipeline((pipeline) => {
      for (const { laneId } of use.lanes) {
        pipeline.run('laneSweep', laneId, [use.now(), SWEPT_MS, keepCount, keepAgeSeconds])
      }
    }),
})
