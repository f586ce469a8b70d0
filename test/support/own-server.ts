/** What servers that tests start have in common: a program that is there, and a port of this machine. */
import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below the ports that systems hand out to outgoing connections, so that nobody takes it while the server is away. */
const PORTS = { first: 15_000, last: 30_000 } as const
const TRIES = 20
/** What Redis and Postgres say of a port that somebody has. */
const TAKEN = /address already in use/i

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
