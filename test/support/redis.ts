/**
 * Real Redis servers for tests: each a process of its own on a free port of this machine with a folder of its own. A test
 * may kill it, stop it and start it again, and ends only what it has started.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canRun, onFreePort, ServerProcess } from './own-server.js'

export type RedisOptions = {
  readonly password?: string
  /** What survives the end of its process: nothing by default, else everything that it has answered. */
  readonly appendonly?: 'always' | 'everysec'
  /** More arguments: `['--maxmemory-policy', 'allkeys-lru']`. */
  readonly args?: readonly string[]
}

export type RedisServer = {
  readonly port: number
  /** With the password, when there is one. */
  readonly url: string
  readonly folder: string
  /** Of the process that runs now. */
  readonly pid: number
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>
  /** SIGKILL: what it has not written is lost. Comes back when it has ended. */
  kill(): Promise<void>
  /** SIGSTOP: connections stay, and nobody answers. */
  suspend(): void
  resume(): void
  /** Starts it again after `kill`, on the same port and folder; ends it first when it still runs. */
  restart(): Promise<void>
}

const PROGRAMS = ['redis-server', 'valkey-server'] as const
/** What it has appended may be much, and the machine busy. */

let program: string | undefined

/** Why no server can be started on this machine; undefined when one can. */
export function redisMissing(): string | undefined {
  program ??= PROGRAMS.find(canRun)
  return program === undefined ? `needs ${PROGRAMS.join(' or ')} (Debian: apt-get install redis-server)` : undefined
}

/** Starts a server and waits until it answers. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const missing = redisMissing()
  if (missing !== undefined || program === undefined) throw new Error(`A Redis server ${missing ?? ''}`)
  const name = program
  return onFreePort(
    (port) => new OwnServer(name, port, options),
    (server) => server.start(),
  )
}

class OwnServer implements RedisServer {
  readonly port: number
  readonly url: string
  readonly folder = mkdtempSync(join(tmpdir(), 'lane-redis-'))
  readonly #program: string
  readonly #arguments: readonly string[]
  readonly #process = new ServerProcess('Redis')
  readonly #endWithUs = (): void => this.#signal('SIGKILL')

  constructor(name: string, port: number, { password, appendonly, args = [] }: RedisOptions) {
    this.#program = name
    this.port = port
    this.url = `redis://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${port}`
    this.#arguments = [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', this.folder, '--save', ''],
      ...(appendonly === undefined ? [] : ['--appendonly', 'yes', '--appendfsync', appendonly]),
      ...(password === undefined ? [] : ['--requirepass', password]),
      ...args,
    ]
    process.once('exit', this.#endWithUs)
  }

  get pid(): number {
    return this.#process.pid
  }

  start(): Promise<void> {
    return this.#process.start([this.#program, this.#arguments], () => answersPing(this.port))
  }

  async kill(): Promise<void> {
    this.#signal('SIGKILL')
    await this.#process.ended
  }

  suspend(): void {
    this.#signal('SIGSTOP')
  }

  resume(): void {
    this.#signal('SIGCONT')
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  async stop(): Promise<void> {
    await this.kill()
    process.off('exit', this.#endWithUs)
    rmSync(this.folder, { recursive: true, force: true })
  }

  #signal(signal: NodeJS.Signals): void {
    this.#process.child?.kill(signal)
  }
}

/** Whether a server on this port has loaded what it has, and would answer a client with the right password. */
function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const finish = (isUp: boolean): void => {
      socket.destroy()
      resolve(isUp)
    }
    socket.setTimeout(1000, () => finish(false))
    socket.on('error', () => finish(false))
    socket.on('end', () => finish(false))
    socket.on('data', (answer) => finish(/^(\+PONG|-NOAUTH)/.test(answer.toString())))
    socket.write('PING\r\n')
  })
}
