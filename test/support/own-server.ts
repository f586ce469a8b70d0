/** What servers that tests start have in common: a program that is there, a port of this machine, and a process. */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Below the ports that systems hand out to outgoing connections, so that nobody takes it while the server is away. */
const PORTS = { first: 15_000, last: 30_000 } as const
const TRIES = 20
/** What Redis and Postgres say of a port that somebody has. */
const TAKEN = /address already in use/i

/** It may have to recover what it has kept, and the machine be busy. */
const STARTS_WITHIN_MS = 60_000
const LOOKS_EVERY_MS = 15

/** The process of a server: what it says, and when it has ended. */
export class ServerProcess {
  readonly #name: string
  #child: ChildProcess | undefined
  #output = ''
  #ended: Promise<void> = Promise.resolve()

  constructor(name: string) {
    this.#name = name
  }

  /** Resolves when it has ended, with every process of its own that has its pipes. */
  get ended(): Promise<void> {
    return this.#ended
  }

  /** Undefined while it does not run. */
  get child(): ChildProcess | undefined {
    return this.#child
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error(`The ${this.#name} server does not run`)
    return pid
  }

  /** Starts it, and waits until it answers. */
  async start(
    [program, args]: readonly [program: string, args: readonly string[]],
    answers: () => Promise<boolean>,
    options: SpawnOptions = {},
  ): Promise<void> {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    this.#output = ''
    const keep = (text: string): void => {
      this.#output = `${this.#output}${text}`.slice(-8000)
    }
    child.stdout?.setEncoding('utf8').on('data', keep)
    child.stderr?.setEncoding('utf8').on('data', keep)
    this.#ended = new Promise((resolve) => {
      child.on('error', (error) => keep(String(error)))
      child.on('close', () => {
        this.#child = undefined
        resolve()
      })
    })
    await this.#untilIt(answers)
  }

  async #untilIt(answers: () => Promise<boolean>): Promise<void> {
    const patience = performance.now() + STARTS_WITHIN_MS
    while (!(await answers())) {
      this.#mustRun()
      if (performance.now() > patience) throw new Error(`The ${this.#name} server does not answer:\n${this.#output}`)
      await sleep(LOOKS_EVERY_MS)
    }
    // whoever answered may have had the port before it
    this.#mustRun()
  }

  #mustRun(): void {
    if (this.#child === undefined) throw new Error(`The ${this.#name} server has ended:\n${this.#output}`)
  }
}

/** Whether a program is on this machine. */
export function canRun(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A server that has begun on a port of its own. */
export async function onFreePort<S extends { stop(): Promise<void> }>(
  make: (port: number) => S,
  begin: (server: S) => Promise<void>,
): Promise<S> {
  for (let tries = 1; ; tries++) {
    const server = make(await freePort())
    try {
      await begin(server)
      return server
    } catch (error) {
      await server.stop()
      // somebody else took the port in the meantime
      if (tries === TRIES || !TAKEN.test(String(error))) throw error
    }
  }
}

async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(PORTS.first, PORTS.last)
    if (await isFree(port)) return port
  }
  throw new Error(`No port is free between ${PORTS.first} and ${PORTS.last}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.on('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
