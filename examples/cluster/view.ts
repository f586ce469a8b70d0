/** The table: drawn again and again in a terminal, a line each second elsewhere. */
import type { ClusterStats } from '@a3s-lab/lane'
import { sharedNow } from './lanes.js'
import type { Traffic } from './traffic.js'
import type { Worker } from './workers.js'

/** What the table shows. */
export type Scene = {
  readonly about: string
  readonly startedAt: number
  readonly traffic: Traffic
  readonly workers: readonly Worker[]
  readonly said: string[]
  stats: ClusterStats
}

export type View = { say(text: string): void; draw(): void; close(): void }

/** Lines of what has happened that are kept in the table. */
const SAID = 6
const PLAIN_EVERY_MS = 1000
const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'

export const newView = (scene: Scene, out: NodeJS.WriteStream): View =>
  out.isTTY ? new Live(scene, out) : new Plain(scene, out)

class Live implements View {
  readonly #scene: Scene
  readonly #out: NodeJS.WriteStream
  #drawn = 0
  readonly #showCursor = (): void => void this.#out.write(SHOW_CURSOR)

  constructor(scene: Scene, out: NodeJS.WriteStream) {
    this.#scene = scene
    this.#out = out
    out.write(HIDE_CURSOR)
    process.once('exit', this.#showCursor)
  }

  say(text: string): void {
    this.#scene.said.push(`${elapsed(this.#scene)}  ${text}`)
    this.draw()
  }

  draw(): void {
    const width = (this.#out.columns || 80) - 1
    const lines = table(this.#scene, width - 1).slice(0, (this.#out.rows || 24) - 1)
    const back = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A`
    const text = lines.map((line) => `${bold(line, cut(line, width))}\u001b[K\n`).join('')
    this.#out.write(`${back}\r${text}\u001b[0J`)
    this.#drawn = lines.length
  }

  close(): void {
    this.draw()
    process.off('exit', this.#showCursor)
    this.#showCursor()
  }
}

class Plain implements View {
  readonly #scene: Scene
  readonly #out: NodeJS.WriteStream
  #nextAt = 0

  constructor(scene: Scene, out: NodeJS.WriteStream) {
    this.#scene = scene
    this.#out = out
    out.write(`${scene.about}\n`)
  }

  say(text: string): void {
    this.#out.write(`${elapsed(this.#scene)}  ${text}\n`)
  }

  draw(): void {
    if (sharedNow() < this.#nextAt) return
    this.#nextAt = sharedNow() + PLAIN_EVERY_MS
    const { stats, traffic, workers } = this.#scene
    const each = workers.map(
      (worker) => `${worker.name} ${worker.killedAt === undefined ? worker.running.size : 'killed'}`,
    )
    const { totalPending, totalActive } = stats
    this.say(`pending ${totalPending}  active ${totalActive}  done ${traffic.settled}  (${each.join(', ')})`)
  }

  close(): void {
    this.#nextAt = 0
    this.draw()
  }
}

/** The whole picture, its lines at most so long. */
function table(scene: Scene, width: number): string[] {
  const { stats, traffic, workers, said } = scene
  const lanes = Object.entries(stats.lanes).map(([id, { pending, active }]) =>
    row(id, [pending, active, traffic.settledIn(id)], bar(active, pending, width - 36)),
  )
  const processes = workers.map((worker) => {
    const state =
      worker.killedAt === undefined ? 'works' : `killed (SIGKILL) at ${seconds(worker.killedAt - scene.startedAt)}`
    return row(worker.name, [worker.process.pid ?? 0, worker.running.size, worker.done, worker.recovered], state)
  })
  return [
    `${scene.about}  ${elapsed(scene).trim()}`,
    '',
    row('lane', ['pending', 'active', 'done'], `over all workers: ${ACTIVE} active ${PENDING} pending`),
    ...lanes,
    '',
    row('worker', ['pid', 'running', 'done', 'again'], ''),
    ...processes,
    '',
    ...said.slice(-SAID),
  ].map((line) => cut(line, width))
}

const ACTIVE = '■'
const PENDING = '░'

const bar = (active: number, pending: number, cells: number): string => {
  const text = ACTIVE.repeat(active) + PENDING.repeat(pending)
  return text.length > cells ? `${text.slice(0, cells - 1)}›` : text
}

const row = (name: string, figures: readonly (string | number)[], rest: string): string =>
  ` ${name.padEnd(8)}${figures.map((figure) => String(figure).padStart(8)).join('')}   ${rest}`.trimEnd()

const cut = (line: string, width: number): string => (line.length > width ? `${line.slice(0, width - 1)}…` : line)

/** Heads stand out. */
const bold = (line: string, text: string): string =>
  /^( lane| worker|Lanes)/.test(line) ? `\u001b[1m${text}\u001b[0m` : text

const elapsed = ({ startedAt }: Scene): string => seconds(sharedNow() - startedAt).padStart(7)

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
