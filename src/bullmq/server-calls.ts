/** Scripts by name, on the keys of a namespace. */
import type { ChainableCommander, Redis } from 'ioredis'
import type { Connections } from './connections.js'
import { laneIdOf, queueNameOf } from './ids.js'
import type { ScriptName } from './scripts.js'

/** What a script is given beside its keys. */
export type Arguments = readonly (string | number)[]
type Script = (args: (string | number)[]) => Promise<unknown>

/** Names of what a namespace keeps. All of it is in one slot of a cluster. */
export class Namespace {
  /** Begins the keys that are of no lane. */
  readonly own: string
  /** Where all processes listen. */
  readonly channel: string
  readonly #tag: string
  readonly #prefixes = new Map<string, string>()

  constructor(name: string) {
    this.#tag = `{${name}}`
    this.own = `${this.#tag}~`
    this.channel = `${this.own}all`
  }

  /** Begins the keys of a lane. */
  prefixOf(laneId: string): string {
    let prefix = this.#prefixes.get(laneId)
    if (prefix === undefined) {
      prefix = `${this.#tag}:${queueNameOf(laneId)}:`
      this.#prefixes.set(laneId, prefix)
    }
    return prefix
  }

  /** The lane whose keys begin like that. */
  laneOf(prefix: string): string {
    return laneIdOf(prefix.slice(this.#tag.length + 1, -1))
  }

  /** Where a process listens for what is meant for it alone. */
  readonly channelTo = (instanceId: string): string => `${this.own}to:${instanceId}`
}

export class ServerCalls {
  readonly names: Namespace
  readonly #connections: Connections

  constructor(connections: Connections, namespace: string) {
    this.#connections = connections
    this.names = new Namespace(namespace)
  }

  /** Runs a script on a lane, again when its answer was lost. */
  run<T>(name: ScriptName, laneId: string, args: Arguments | ((isAgain: boolean) => Arguments)): Promise<T> {
    const prefix = this.names.prefixOf(laneId)
    return this.#connections.call((isAgain) => {
      const given = typeof args === 'function' ? args(isAgain) : args
      return this.#script(this.#connections.main, name)([prefix, this.names.own, ...given]) as Promise<T>
    })
  }

  /** Keeps what a handler reports, by BullMQ's own script. */
  updateProgress(laneId: string, jobId: string, value: string): Promise<unknown> {
    const prefix = this.names.prefixOf(laneId)
    const args = [`${prefix}${jobId}`, `${prefix}events`, `${prefix}meta`, jobId, value]
    return this.#connections.call(() => this.#script(this.#connections.main, 'lane:updateProgress')(args))
  }

  /** Runs many scripts or commands as one pipeline. An error of one is an error of all, unless `isApart`. */
  async pipeline(fill: (add: PipelineFill, isAgain: boolean) => void): Promise<readonly unknown[]> {
    return this.#connections.call(async (isAgain) => {
      const pipeline = this.#connections.main.pipeline()
      fill(new PipelineFill(pipeline, this.names), isAgain)
      const answers = (await pipeline.exec()) ?? []
      return answers.map(([error, value]) => {
        if (error !== null) throw error
        return value
      })
    })
  }

  /** A plain command on the main connection. */
  send<T>(command: (client: Redis) => Promise<T>): Promise<T> {
    return this.#connections.call(() => command(this.#connections.main))
  }

  #script(client: Redis, name: string): Script {
    const script = (client as unknown as Record<string, Script>)[name] as Script
    return script.bind(client)
  }
}

/** What goes into a pipeline. */
export class PipelineFill {
  readonly commands: ChainableCommander
  readonly #names: Namespace

  constructor(commands: ChainableCommander, names: Namespace) {
    this.commands = commands
    this.#names = names
  }

  run(name: ScriptName, laneId: string, args: Arguments): void {
    const script = (this.commands as unknown as Record<string, Script>)[name] as Script
    void script.call(this.commands, [this.#names.prefixOf(laneId), this.#names.own, ...args])
  }
}
