/** `npm run powerloss`: which subjects are recorded, what each must show, and the table that says so. */
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { type SubjectKind, subjectOf } from './power-subjects.js'
import { addTallies, type Draws, type Place, record, type Tally } from './powerloss.js'
import type { JudgeOrders } from './programs/judge.js'

export type PowerLossOptions = {
  readonly place: Place
  /** Where the built programs are. */
  readonly programs: string
  readonly images: number
  readonly seed: number
  /** One image only. */
  readonly only: number | undefined
  /** Subjects whose name contains it. */
  readonly wanted: string
  readonly print: (line: string) => void
}

/** What an image run must show. `bites`: it must lose or break something, or the harness proves nothing. */
type Expectation = 'nothing is lost' | 'a tail may be lost' | 'bites'

type Row = { readonly which: SubjectKind; readonly expects: Expectation; readonly share: number }

/** How many of the images each subject gets. A control has to be bad at all; an image run to its end as a queue is slow. */
const rowsOf = (seed: number): Row[] => [
  { which: { kind: 'seam', durability: 'full', seed }, expects: 'nothing is lost', share: 1 },
  { which: { kind: 'seam', durability: 'relaxed', seed }, expects: 'a tail may be lost', share: 0.3 },
  { which: { kind: 'queue', durability: 'full' }, expects: 'nothing is lost', share: 0.06 },
  { which: { kind: 'queue', durability: 'relaxed' }, expects: 'a tail may be lost', share: 0.03 },
  { which: { kind: 'bare', synchronous: 'FULL' }, expects: 'nothing is lost', share: 0.1 },
  { which: { kind: 'bare', synchronous: 'NORMAL' }, expects: 'bites', share: 0.05 },
  { which: { kind: 'bare', synchronous: 'OFF' }, expects: 'bites', share: 0.05 },
  { which: { kind: 'seam', durability: 'full', seed, control: 'acks-first' }, expects: 'bites', share: 0.05 },
]

/** Whether all was as it has to be. */
export async function runPowerLoss(options: PowerLossOptions): Promise<boolean> {
  const { place, print, seed, only } = options
  print(`seed ${seed}`)
  print(line('subject', 'images', 'acks', 'missing', 'corrupt', 'unreadable', 'gaps', 'images/s', 'verdict'))
  let isRight = true
  for (const { which, expects, share } of rowsOf(seed)) {
    const subject = subjectOf(which, options.programs)
    if (!subject.name.includes(options.wanted)) continue
    const log = await record(subject, place)
    const images = Math.max(1, Math.round(options.images * share))
    const startedAt = performance.now()
    const tally = await judgeTogether({ log, which, programs: options.programs, place, draws: { seed, images, only } })
    const perSecond = (tally.images * 1000) / (performance.now() - startedAt)
    const isAsExpected = judge(tally, expects)
    isRight &&= isAsExpected
    print(
      line(
        subject.name,
        tally.images,
        tally.acks,
        tally.missing,
        tally.corrupt,
        tally.unreadable,
        tally.gaps,
        Math.round(perSecond),
        `${isAsExpected ? 'ok' : 'FAILED'}: ${expects}`,
      ),
    )
    if (!isAsExpected) for (const example of tally.examples) print(`  ${example}`)
  }
  return isRight
}

/** One thread for each core. */
async function judgeTogether(orders: JudgeOrders): Promise<Tally> {
  const of = Math.max(1, availableParallelism())
  const judgeShard = async (index: number): Promise<Tally> => {
    const draws: Draws = { ...orders.draws, shard: { index, of } }
    const worker = new Worker(join(orders.programs, 'judge.mjs'), { workerData: { ...orders, draws } })
    const [tally] = (await once(worker, 'message')) as [Tally]
    return tally
  }
  return addTallies(await Promise.all(Array.from({ length: of }, (_, index) => judgeShard(index))))
}

function judge({ missing, corrupt, unreadable, gaps }: Tally, expects: Expectation): boolean {
  const broken = corrupt + unreadable + gaps
  if (expects === 'bites') return missing + broken > 0
  return broken === 0 && (missing === 0 || expects === 'a tail may be lost')
}

const WIDTHS = [22, 8, 8, 8, 8, 11, 6, 9]

const line = (...cells: readonly (string | number)[]): string =>
  cells
    .map((cell, n) => (n === 0 ? String(cell).padEnd(WIDTHS[0] ?? 0) : String(cell).padStart(WIDTHS[n] ?? 0)))
    .join('  ')
