/**
 * Real Postgres servers for tests: each a process of its own on a free port of this machine with a folder of its own. A
 * test may kill it, stop it and start it again, and ends only what it has started.
 */
import { execFile, execFileSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { canRun, onFreePort, ServerProcess } from './own-server.js'

export type PostgresOptions = {
  /** Asked for by SCRAM. Without one everybody is let in. */
  readonly password?: string
  /** More arguments: `['-c', 'max_connections=10']`. */
  readonly args?: readonly string[]
}

export type PostgresServer = {
  readonly port: number
  /** Of its one database, as a superuser, with the password when there is one. */
  readonly url: string
  readonly folder: string
  /** Of the postmaster that runs now, which starts a process for each connection. */
  readonly pid: number
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>
  /** SIGKILL for all its processes: what it has answered is on the disk. Comes back when all have ended. */
  kill(): Promise<void>
  /** SIGSTOP for all its processes: connections stay, and nobody answers. */
  suspend(): void
  resume(): void
  /** Starts it again after `kill`, on the same port and folder; ends it first when it still runs. */
  restart(): Promise<void>
}

type Account = { readonly uid: number; readonly gid: number }

const PROGRAMS = ['postgres', 'initdb'] as const
/** Debian's, a folder for each version, none of them in the path. */
const VERSIONS = '/usr/lib/postgresql'
/** Postgres refuses to run as root. */
const ACCOUNTS = ['postgres', 'nobody'] as const
/** The superuser and the database. */
const NAME = 'lane'
/** One that is asked whether it is there yet. */
const ANSWERS_WITHIN_MS = 5000
const STOPS_WITHIN_MS = 10_000

let programs: string | undefined

/** Why no server can be started on this machine; undefined when one can. */
export function postgresMissing(): string | undefined {
  // '' is the path
  programs ??= ['', ...versions()].find((folder) => PROGRAMS.every((name) => canRun(join(folder, name))))
  return programs === undefined ? `needs ${PROGRAMS.join(' and ')} (Debian: apt-get install postgresql)` : undefined
}

/** The newest first. */
function versions(): string[] {
  if (!existsSync(VERSIONS)) return []
  const numbers = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))
  return numbers.map((number) => join(VERSIONS, number, 'bin'))
}

/** Starts a server with an empty database and waits until it answers. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const missing = postgresMissing()
  if (missing !== undefined || programs === undefined) throw new Error(`A Postgres server ${missing ?? ''}`)
  const folder = programs
  return onFreePort(
    (port) => new OwnServer(folder, port, options),
    (server) => server.create(),
  )
}

class OwnServer implements PostgresServer {
  readonly port: number
  readonly url: string
  readonly folder = mkdtempSync(join(tmpdir(), 'lane-postgres-'))
  readonly #data = join(this.folder, 'data')
  /** Its file: who runs, and its piece of System V memory. Left behind by a server that was killed. */
  readonly #lock = join(this.#data, 'postmaster.pid')
  readonly #account = account()
  /** The messages that are looked for are in English. */
  readonly #spawning = { cwd: this.folder, env: { ...process.env, LC_ALL: 'C' }, ...this.#account }
  readonly #programs: string
  readonly #password: string | undefined
  readonly #arguments: readonly string[]
  readonly #process = new ServerProcess('Postgres')
  readonly #endWithUs = (): void => this.#signal('SIGKILL')

  constructor(folder: string, port: number, { password, args = [] }: PostgresOptions) {
    this.#programs = folder
    this.port = port
    this.#password = password
    this.url = this.#urlOf(NAME)
    this.#arguments = [
      ...['-D', this.#data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
      ...['-c', 'max_connections=100', '-c', 'shared_buffers=16MB'],
      // in files of the folder: elsewhere they would outlive a server that is killed
      ...['-c', 'dynamic_shared_memory_type=mmap'],
      ...args,
    ]
    process.once('exit', this.#endWithUs)
  }

  get pid(): number {
    return this.#process.pid
  }

  async create(): Promise<void> {
    const { uid, gid } = this.#account ?? {}
    if (uid !== undefined && gid !== undefined) chownSync(this.folder, uid, gid)
    const file = join(this.folder, 'password')
    if (this.#password !== undefined) writeFileSync(file, this.#password)
    const access = this.#password === undefined ? ['-A', 'trust'] : ['-A', 'scram-sha-256', `--pwfile=${file}`]
    const initdb = join(this.#programs, 'initdb')
    const form = ['-D', this.#data, '-U', NAME, '-E', 'UTF8', '--locale=C', '--no-sync']
    await promisify(execFile)(initdb, [...form, ...access], this.#spawning)
    await this.start()
    await query(this.#urlOf('postgres'), `CREATE DATABASE ${NAME}`)
  }

  async start(): Promise<void> {
    // Everybody whom it names has ended, and another process may have the number by now.
    rmSync(this.#lock, { force: true })
    const command = [join(this.#programs, 'postgres'), this.#arguments] as const
    await this.#process.start(command, () => answers(this.#urlOf('postgres')), this.#spawning)
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
    // who is suspended hears no other signal
    this.resume()
    const late = setTimeout(() => this.#signal('SIGKILL'), STOPS_WITHIN_MS)
    // It ends at once, and unlike one that is killed removes what it has in memory.
    this.#process.child?.kill('SIGQUIT')
    await this.#process.ended
    clearTimeout(late)
    process.off('exit', this.#endWithUs)
    this.#freeMemory()
    rmSync(this.folder, { recursive: true, force: true })
  }

  #urlOf(database: string): string {
    const password = this.#password === undefined ? '' : `:${encodeURIComponent(this.#password)}`
    return `postgres://${NAME}${password}@127.0.0.1:${this.port}/${database}`
  }

  /** To all its processes: each is the leader of a group of its own, so no group has them all. */
  #signal(signal: NodeJS.Signals): void {
    const pid = this.#process.child?.pid
    if (pid === undefined) return
    // while it stands still it starts no other
    send(pid, 'SIGSTOP')
    for (const each of [...childrenOf(pid), pid]) send(each, signal)
  }

  /** The System V memory of a server that was killed stays until somebody removes it, and a machine has a limit. */
  #freeMemory(): void {
    if (!existsSync(this.#lock)) return
    // its line with the key and the number of the memory
    const id = /^ *\d+ +(\d+)$/m.exec(readFileSync(this.#lock, 'utf8'))?.[1]
    try {
      if (id !== undefined) execFileSync('ipcrm', ['-m', id], { stdio: 'ignore' })
    } catch {
      // a few bytes stay
    }
  }
}

/** Whose processes they are: undefined for our own account, which is any but root. */
function account(): Account | undefined {
  if (process.getuid?.() !== 0) return
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  const known = new Map(lines.map((line) => line.split(':')).map(([name, , uid, gid]) => [name, { uid, gid }]))
  const found = ACCOUNTS.map((name) => known.get(name)).find((each) => each !== undefined)
  if (found === undefined) throw new Error(`Postgres refuses to run as root, and there is no ${ACCOUNTS.join(' or ')}`)
  return { uid: Number(found.uid), gid: Number(found.gid) }
}

function childrenOf(parent: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number))
  return pairs.flatMap(([pid, ppid]) => (ppid === parent && pid !== undefined ? [pid] : []))
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it has ended
  }
}

/** Whether a server has recovered what it has, and answers. */
async function answers(url: string): Promise<boolean> {
  try {
    await query(url, 'SELECT 1')
    return true
  } catch {
    return false
  }
}

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ANSWERS_WITHIN_MS })
  // who is told by its query needs not be told by an event, and without anybody who hears it this process would end
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query(text)
  } finally {
    await client.end()
  }
}
