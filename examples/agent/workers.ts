/** Two worker processes, and who of them does what: the coordinator's side of worker.ts. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ExternalTask, ExternalTaskResult } from '@a3s-lab/lane/session'

type Answer = ExternalTaskResult & { readonly task_id: string }

type Worker = { readonly name: string; readonly process: ChildProcess; readonly waiting: Map<string, Ending> }

type Ending = (answer: ExternalTaskResult) => void

export class Workers implements AsyncDisposable {
  readonly #workers: readonly Worker[]

  /** Workers in `folder`, which each has for itself where it is on another machine. Of the coordinator's keys they have none. */
  constructor(names: readonly string[], folder: string, environment: Readonly<Record<string, string>>) {
    this.#workers = names.map((name) => {
      const child = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), { cwd: folder, env: environment })
      const worker: Worker = { name, process: child, waiting: new Map() }
      child.on('message', (answer: Answer) => worker.waiting.get(answer.task_id)?.(answer))
      child.on('exit', () => {
        for (const end of worker.waiting.values()) end({ success: false, error: `${name} has ended` })
      })
      return worker
    })
  }

  /** Gives the work to the one that has least to do; `onTaken` hears its name. */
  run(work: ExternalTask, signal: AbortSignal, onTaken: (name: string) => void): Promise<ExternalTaskResult> {
    const { task_id, payload } = work
    const { name, process: child, waiting } = this.#leastBusy()
    if (!child.connected) return Promise.resolve({ success: false, error: `${name} has ended` })
    onTaken(name)
    return new Promise((resolve) => {
      const withdraw = (): void => void child.send({ withdrawn: task_id })
      signal.addEventListener('abort', withdraw, { once: true })
      waiting.set(task_id, (answer) => {
        waiting.delete(task_id)
        signal.removeEventListener('abort', withdraw)
        resolve(answer)
      })
      child.send({ task_id, payload })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.#workers.map(
      ({ process: child }) =>
        new Promise((resolve) => (child.exitCode === null ? child.once('exit', resolve) : resolve(0))),
    )
    for (const { process: child } of this.#workers) if (child.connected) child.disconnect()
    await Promise.all(ended)
  }

  #leastBusy(): Worker {
    return this.#workers.reduce((best, worker) => (worker.waiting.size < best.waiting.size ? worker : best))
  }
}
