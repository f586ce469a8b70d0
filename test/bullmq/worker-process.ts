/** Starts workers as processes, listens to what they say, and sends them signals. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { LaneDefinition } from '@a3s-lab/lane'

/** What a worker is told. */
export type WorkerOrders = {
  readonly name: string
  readonly url: string
  readonly namespace: string
  readonly leaseMs: number
  readonly lanes: Readonly<Record<string, LaneDefinition>>
}

/** Payload of its commands of the type `hold`. */
export type Held = { readonly title: string; readonly ms: number }

const PATIENCE_MS = 15_000

export class WorkerProcess {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #waiting = new Set<() => void>()
  readonly #ended: Promise<void>
  #errors = ''
  #isOver = false

  constructor(program: string, orders: WorkerOrders) {
    const child = spawn(process.execPath, [program, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lines.push(line)
      this.#tell()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    this.#ended = new Promise((resolve) => {
      child.on('close', () => {
        this.#isOver = true
        this.#tell()
        resolve()
      })
    })
  }

  /** All that it has said so far. */
  get lines(): readonly string[] {
    return this.#lines
  }

  /** Resolves when it has said a line that begins like this, or has ended without; with that line. */
  async said(words: string): Promise<string> {
    const patience = performance.now() + PATIENCE_MS
    for (;;) {
      const line = this.#lines.find((one) => one.startsWith(words))
      if (line !== undefined) return line
      if (this.#isOver || performance.now() > patience)
        throw new Error(`A worker has not said '${words}' but:\n${this.#lines.join('\n')}\n${this.#errors}`)
      await this.#next(patience - performance.now())
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  #next(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#waiting.add(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #tell(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const goOn of waiting) goOn()
  }
}
