/** A Redis server of our own: on a free port of this machine, with a folder that goes when it goes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'

const PROGRAMS = ['redis-server', 'valkey-server'] as const
const STARTS_WITHIN_MS = 10_000

export class Server implements Disposable {
  readonly url: string
  readonly #process: ChildProcess

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#process = child
  }

  /** Starts one and waits until it answers. */
  static async start(folder: string): Promise<Server> {
    for (const program of PROGRAMS) {
      const port = await freePort()
      const child = spawn(program, arguments_(port, folder), { detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
      const end = (): void => void child.kill('SIGKILL')
      process.once('exit', end)
      try {
        if (await isReady(child)) return new Server(`redis://127.0.0.1:${port}`, child)
      } catch (error) {
        end()
        throw error
      }
    }
    throw new Error(
      `This example needs a Redis server, and there is neither ${PROGRAMS.join(' nor ')} here.\n` +
        'Debian and Ubuntu: apt-get install redis-server. macOS: brew install redis.',
    )
  }

  [Symbol.dispose](): void {
    this.#process.kill('SIGKILL')
  }
}

/** What it has answered is on the disk within a second. */
const arguments_ = (port: number, folder: string): string[] => [
  ...['--bind', '127.0.0.1', '--port', String(port), '--dir', folder],
  ...['--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec'],
]

/** False when there is no such program. */
function isReady(child: ChildProcess): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let output = ''
    const fail = (what: string): void => reject(new Error(`The Redis server ${what}:\n${output}`))
    const timer = setTimeout(() => fail('does not answer'), STARTS_WITHIN_MS)
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output = `${output}${text}`.slice(-4000)
      if (text.includes('Ready to accept connections')) resolve(true)
    })
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve(false)
      else reject(error)
    })
    child.once('close', () => {
      clearTimeout(timer)
      fail('has ended')
    })
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
