/** A few images of each kind: `npm run powerloss` makes thousands. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BUILD_MS, build } from '../examples/built.js'
import { bareSubject } from './bare-subject.js'
import { judgeImages, type Place, record, type Subject, type Tally } from './powerloss.js'
import { buildPrograms, newMemoryFolder, newProgramFolder } from './programs.mjs'
import { parseDiskLog } from './recorded-disk.js'
import { buildRecorder, runRecorded, whyNoRecorder } from './recorder.js'
import { seamSubject } from './seam-subject.js'

const why = whyNoRecorder()
/** Recording a program, and opening a few hundred images. */
const RECORD_MS = 60_000

test('power loss is tried in CI, and wherever it can be', ({ skip }) => {
  expect(why === undefined || process.env['CI'] === undefined, why).toBe(true)
  skip(why !== undefined, why)
})

describe.skipIf(why !== undefined)('power loss', () => {
  let place: Place
  let programs: string

  beforeAll(async () => {
    await build()
    programs = newProgramFolder()
    const workplace = mkdtempSync(join(tmpdir(), 'lane-powerloss-'))
    place = { workplace, memory: newMemoryFolder(), library: buildRecorder(workplace) }
    await buildPrograms(programs)
  }, BUILD_MS)

  afterAll(() => {
    for (const folder of [programs, place.workplace, place.memory]) rmSync(folder, { recursive: true, force: true })
  })

  const tally = async (subject: Subject, images: number): Promise<Tally> =>
    judgeImages(await record(subject, place), subject, place, { seed: 1, images })

  test('is recorded in the order in which a program asks the disk', async () => {
    const folder = join(place.workplace, 'asked')
    mkdirSync(folder)
    const program = join(place.workplace, 'asks.mjs')
    writeFileSync(
      program,
      `import fs from 'node:fs'
       const file = fs.openSync(process.argv[2] + '/file', 'w')
       fs.writeSync(file, 'first')
       fs.writeSync(file, 'second', 10)
       fs.fdatasyncSync(file)
       fs.ftruncateSync(file, 3)
       fs.writeFileSync(process.argv[2] + '/../unseen', 'x')
       fs.renameSync(process.argv[2] + '/file', process.argv[2] + '/name')
       fs.unlinkSync(process.argv[2] + '/name')`,
    )
    const recording = { library: place.library, word: `${folder}/`, log: join(place.workplace, 'asked.log') }
    const end = await runRecorded(program, [folder], recording)
    expect(end).toMatchObject({ code: 0, text: '' })
    const path = join(folder, 'file')
    expect(parseDiskLog(readFileSync(recording.log))).toMatchObject([
      { kind: 'truncate', path, length: 0 },
      { kind: 'write', path, offset: 0, data: Buffer.from('first') },
      { kind: 'write', path, offset: 10, data: Buffer.from('second') },
      { kind: 'syncBegin', path },
      { kind: 'syncEnd', path },
      { kind: 'truncate', path, length: 3 },
      { kind: 'rename', path, to: join(folder, 'name') },
      { kind: 'unlink', path: join(folder, 'name') },
    ])
  })

  test('bites where SQLite is known to lose, and spares what it is known to keep', { timeout: RECORD_MS }, async () => {
    const program = join(programs, 'bare.mjs')
    const full = await tally(bareSubject(program, 'FULL', 120), 100)
    expect(full).toMatchObject({ images: 100, missing: 0, corrupt: 0, unreadable: 0, gaps: 0, acks: 120 })
    expect((await tally(bareSubject(program, 'NORMAL', 120), 100)).missing).toBeGreaterThan(0)
    const off = await tally(bareSubject(program, 'OFF', 120), 100)
    expect(off.missing + off.corrupt + off.unreadable).toBeGreaterThan(0)
  })

  test('takes nothing that a full storage has answered for, and only a tail of a relaxed one', {
    timeout: RECORD_MS,
  }, async () => {
    const program = join(programs, 'seam.mjs')
    const full = await tally(seamSubject(program, { durability: 'full', seed: 1, steps: 60 }), 150)
    expect(full, full.examples.join('\n')).toMatchObject({
      images: 150,
      missing: 0,
      corrupt: 0,
      unreadable: 0,
      gaps: 0,
    })
    const relaxed = await tally(seamSubject(program, { durability: 'relaxed', seed: 1, steps: 60 }), 100)
    expect(relaxed, relaxed.examples.join('\n')).toMatchObject({ corrupt: 0, unreadable: 0, gaps: 0 })
    expect(relaxed.missing, 'a relaxed storage that loses nothing proves nothing').toBeGreaterThan(0)
  })

  test('finds a storage that answers before it has written', { timeout: RECORD_MS }, async () => {
    const control = { durability: 'full', seed: 1, steps: 60, control: 'acks-first' } as const
    expect((await tally(seamSubject(join(programs, 'seam.mjs'), control), 100)).missing).toBeGreaterThan(0)
  })
})
