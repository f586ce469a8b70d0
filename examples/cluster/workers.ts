/** The worker processes, as the coordinator sees them: who runs what, and who is killed. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { sharedNow } from './lanes.js'
import type { CommandNote, Note } from './worker.js'

export type Worker = {
  readonly name: string
  readonly process: ChildProcess
  /** Commands that run there now. */
  readonly running: Set<string>
  done: number
  recovered: number
  killedAt: number | undefined
}

/** A command that ran where a worker was killed, and where it ran again. */
export type Recovery = { readonly id: string; readonly by: string; readonly afterMs: number }

/** Of each worker, for files and compression: as many as it has slots, so that nothing short waits behind something long. */
const THREADS = '8'

export class Workers implements AsyncDisposable {
  readonly list: readonly Worker[]
  readonly recoveries: Recovery[] = []
  /** What ran on the worker that was killed when it was. */
  lost: readonly string[] = []
  /** By id: how often some worker has said that it came to its end. */
  readonly ends = new Map<string, number>()
  onRecovered: ((recovery: Recovery) => void) | undefined
  readonly #starting: Promise<void>[] = []
  #isClosing = false

  constructor(names: readonly string[], args: readonly string[]) {
    this.list = names.map((name) => this.#start(name, args))
    process.once('exit', () => this.#killAll())
  }

  /** Resolves when all of them can work. */
  async ready(): Promise<void> {
    await Promise.all(this.#starting)
  }

  get killed(): Worker | undefined {
    return this.list.find(({ killedAt }) => killedAt !== undefined)
  }

  /** Nobody tells the worker, and nobody takes its place. */
  kill(worker: Worker): void {
    worker.killedAt = sharedNow()
    this.lost = [...worker.running]
    worker.process.kill('SIGKILL')
  }

  /** Each hands back what it cannot finish, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true
    const ended = this.list.map(({ process: child }) => hasEnded(child))
    for (const { process: child } of this.list) if (child.connected) child.disconnect()
    await Promise.all(ended)
  }

  #start(name: string, args: readonly string[]): Worker {
    // a group of its own: Ctrl-C in the terminal is the coordinator's to deal with
    const program = fileURLToPath(new URL('./worker.js', import.meta.url))
    const child = fork(program, args, { detached: true, env: { ...process.env, UV_THREADPOOL_SIZE: THREADS } })
    const worker: Worker = { name, process: child, running: new Set(), done: 0, recovered: 0, killedAt: undefined }
    this.#starting.push(
      new Promise((resolve) => {
        child.on('message', (note: Note) => (note.what === 'ready' ? resolve() : this.#noted(worker, note)))
      }),
    )
    child.once('exit', (code) => {
      if (worker.killedAt === undefined && !this.#isClosing) throw new Error(`${name} has ended by itself (${code})`)
    })
    child.once('disconnect', () => {
      if (worker.killedAt !== undefined) this.lost = [...worker.running]
      worker.running.clear()
    })
    return worker
  }

  #noted(worker: Worker, { id, what, at }: CommandNote): void {
    if (what === 'started') worker.running.add(id)
    else if (what === 'ended') {
      worker.running.delete(id)
      worker.done++
      this.ends.set(id, (this.ends.get(id) ?? 0) + 1)
    } else {
      worker.recovered++
      const recovery = { id, by: worker.name, afterMs: at - (this.killed?.killedAt ?? at) }
      this.recoveries.push(recovery)
      this.onRecovered?.(recovery)
    }
  }

  #killAll(): void {
    for (const { process: child } of this.list) child.kill('SIGKILL')
  }
}

const hasEnded = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
