/** A process under torture, as its torturer has it: started ahead of its turn, given orders, listened to, killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export class Victim {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #waiting = new Map<string, () => void>()
  /** Resolves when it waits for orders. */
  readonly warm: Promise<void>
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string | null>
  #isOver = false
  errors = ''

  constructor(program: string, env: NodeJS.ProcessEnv = process.env) {
    const child = spawn(process.execPath, [program], { env, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    child.stdin.on('error', () => undefined)
    createInterface({ input: child.stdout }).on('line', (line) => this.#hear(line))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text
    })
    this.ended = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        this.#isOver = true
        for (const goOn of this.#waiting.values()) goOn()
        resolve(signal ?? code)
      })
    })
    this.warm = this.said('warm')
  }

  /** Resolves when it has said this, or has ended. */
  said(word: string): Promise<void> {
    if (this.#isOver || this.#lines.some((line) => line.startsWith(word))) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.set(word, resolve))
  }

  lineAfter(word: string): string {
    return this.#lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? ''
  }

  order(orders: object): void {
    this.#child.stdin?.write(`${JSON.stringify(orders)}\n`)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Whether it has ended by itself before the time is over. */
  async endsWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), ms)
    })
    const isOver = await Promise.race([this.ended.then(() => true), late])
    clearTimeout(timer)
    return isOver
  }

  #hear(line: string): void {
    this.#lines.push(line)
    const [word = ''] = line.split(' ')
    this.#waiting.get(word)?.()
    this.#waiting.delete(word)
  }
}
