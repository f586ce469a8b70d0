/**
 * Power loss by crash images: a program is recorded while it works and ends by SIGKILL; from the recording many disks are
 * made as they might be had the power failed at some moment, and each is opened and judged.
 *
 * A seed draws the moments and what survived, so an image can be made again from the same recording.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Random } from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'
import { parseDiskLog, RecordedDisk } from './recorded-disk.js'
import { runRecorded } from './recorder.js'

/** What an image was found to be. */
export type Verdict = {
  /** What was acknowledged and is not there, or is there in another form. */
  readonly missing: readonly string[]
  /** It opens, and its content is damaged. */
  readonly corrupt?: string | undefined
  /** It does not open. */
  readonly unreadable?: string | undefined
  /** Something later has survived, and something earlier has not; or a part of what was written as one. */
  readonly gap?: string | undefined
}

/** A program that is recorded, and how its images are judged. */
export type Subject = {
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  /** `folder` has the files of one image; `acks` are the lines that the program had written by then. */
  judge(folder: string, acks: readonly string[]): Verdict | Promise<Verdict>
}

export type Place = {
  readonly library: string
  readonly workplace: string
  /** For images: in memory, since there are many. */
  readonly memory: string
  /** Where bad images are left, as they were found. */
  readonly kept?: string | undefined
}

/** The name of the file to which programs append what they have acknowledged. */
const ACKS = 'acks'

/** Runs a program and gives the log of what it asked of the disk. */
export async function record({ name, program, args }: Subject, place: Place): Promise<string> {
  const folder = join(place.workplace, `data-${name}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const recording = { library: place.library, word: `${folder}/`, log: join(place.workplace, `${name}.log`) }
  rmSync(recording.log, { force: true })
  const end = await runRecorded(program, [folder, ...args], recording)
  if (end.signal !== 'SIGKILL') throw new Error(`${name} did not end by SIGKILL but ${end.code}: ${end.text}`)
  rmSync(folder, { recursive: true, force: true })
  return recording.log
}

export type Tally = {
  readonly images: number
  /** Images with something missing, and so on. */
  readonly missing: number
  readonly corrupt: number
  readonly unreadable: number
  readonly gaps: number
  /** Lines that had been acknowledged in the end. */
  readonly acks: number
  /** The first few bad ones. */
  readonly examples: readonly string[]
}

export type Draws = {
  readonly seed: number
  readonly images: number
  /** One image only. */
  readonly only?: number | undefined
  /** Every `of`-th image only, from this one on: the others are somebody else's. */
  readonly shard?: { readonly index: number; readonly of: number } | undefined
}

/** Chances of what was not synced to survive. */
const CHANCES = [0, 0.25, 0.5, 0.75, 1] as const

type Image = { readonly number: number; readonly cut: number; readonly chance: number; readonly random: Random }

/** The moments, and what survives at each; in order of time, so that the log is replayed once. */
function draw({ seed, images, only, shard = { index: 0, of: 1 } }: Draws, calls: number): Image[] {
  const all = Array.from({ length: images }, (_, number): Image => {
    const random = seededRandom(Math.imul(seed, 0x9e_37_79_b1) + number)
    const cut = Math.floor(random.next() * (calls + 1))
    return { number, cut, chance: CHANCES[Math.floor(random.next() * CHANCES.length)] ?? 0, random }
  })
  const mine = all.filter(({ number }) => number % shard.of === shard.index)
  const wanted = only === undefined ? mine : mine.filter(({ number }) => number === only)
  return wanted.sort((a, b) => a.cut - b.cut)
}

/** Makes the images of a recording and judges each. */
export async function judgeImages(log: string, subject: Subject, place: Place, draws: Draws): Promise<Tally> {
  const calls = parseDiskLog(readFileSync(log))
  const disk = new RecordedDisk((path) => basename(path) === ACKS)
  const sum = { images: 0, missing: 0, corrupt: 0, unreadable: 0, gaps: 0, examples: [] as string[] }
  let applied = 0
  const advance = (cut: number): void => {
    for (const call of calls.slice(applied, cut)) disk.apply(call)
    applied = Math.max(applied, cut)
  }
  for (const image of draw(draws, calls.length)) {
    advance(image.cut)
    const folder = join(place.memory, `${subject.name}-${image.number}`)
    const files = disk.survivors(image.random, image.chance)
    writeImage(folder, files)
    const verdict = await subject.judge(folder, disk.acks())
    rmSync(folder, { recursive: true, force: true })
    if (place.kept !== undefined && isBad(verdict))
      writeImage(join(place.kept, `${subject.name}-${image.number}`), files)
    count(verdict, image, sum)
  }
  advance(calls.length)
  return { ...sum, acks: disk.acks().length }
}

/** What several have found in images of one recording. */
export function addTallies(tallies: readonly Tally[]): Tally {
  const sum = (of: (tally: Tally) => number): number => tallies.reduce((all, tally) => all + of(tally), 0)
  return {
    images: sum(({ images }) => images),
    missing: sum(({ missing }) => missing),
    corrupt: sum(({ corrupt }) => corrupt),
    unreadable: sum(({ unreadable }) => unreadable),
    gaps: sum(({ gaps }) => gaps),
    acks: tallies[0]?.acks ?? 0,
    examples: tallies.flatMap(({ examples }) => examples).slice(0, EXAMPLES),
  }
}

type Sum = { -readonly [Key in keyof Omit<Tally, 'acks'>]: Tally[Key] extends number ? number : string[] }

const EXAMPLES = 5

function count({ missing, corrupt, unreadable, gap }: Verdict, { number, cut, chance }: Image, sum: Sum): void {
  sum.images++
  if (missing.length > 0) sum.missing++
  if (corrupt !== undefined) sum.corrupt++
  if (unreadable !== undefined) sum.unreadable++
  if (gap !== undefined) sum.gaps++
  const lost = missing.length > 0 ? `${missing.length} missing: ${missing.slice(0, 3).join()}` : undefined
  const said = [lost, corrupt, unreadable, gap].filter((text) => text !== undefined)
  if (said.length > 0 && sum.examples.length < EXAMPLES)
    sum.examples.push(`image ${number} (cut ${cut}, chance ${chance}): ${said.join('; ')}`)
}

const isBad = ({ missing, ...others }: Verdict): boolean =>
  missing.length > 0 || Object.values(others).some((text) => text !== undefined)

function writeImage(folder: string, files: ReadonlyMap<string, Buffer>): void {
  mkdirSync(folder, { recursive: true })
  for (const [path, content] of files) writeFileSync(join(folder, basename(path)), content)
}
