/** The thread that writes: when it is used, that order is kept, that the process can end, and what happens when it dies. */
import { execFile } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import type { LocalStorage } from '@a3s-lab/lane/storage'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BatchPacker } from '../../src/storage/batch-packer.js'
import { Writer, type WriterSettings } from '../../src/storage/writer.js'
import { WriterThread } from '../../src/storage/writer-thread.js'
import { BuiltStorage, everything, Files, NOW, numbers, seqsOf, settle, submit } from './storage-files.js'

const built = new BuiltStorage()
let Storage: typeof LocalStorage

beforeAll(async () => {
  Storage = await built.build()
}, 60_000)

afterAll(() => built[Symbol.asyncDispose]())

const LIMIT_MS = 30_000

test(
  'large batches are written by the thread, and read here as soon as they are answered',
  async () => {
    await using files = new Files()
    const { storage, first } = await files.inUse({ retention: { count: 100, ageMs: 1e9 } }, Storage)
    let written = first
    let asked: void | Promise<void>
    // the thread takes a moment to start: until then everything is written here
    do {
      await new Promise((resolve) => setImmediate(resolve))
      asked = storage.write(numbers(written, 100).map((seq) => submit(seq)))
      written += 100
    } while (asked === undefined)
    // handed over before the answer: small as it is, it comes after
    const next = storage.write([submit(written), submit(written + 1), settle(written)])
    expect(next).toBeInstanceOf(Promise)
    await Promise.all([asked, next])
    expect(storage.find(written)).toMatchObject({ state: 'completed', result: `"done ${written}"` })
    expect(storage.find(written + 1)).toMatchObject({ state: 'pending' })
    const all = seqsOf(everything(storage))
    expect(all).toEqual(numbers(first, written - first + 2))
    await storage.close()
    const again = await files.inUse({ retention: { count: 100, ageMs: 1e9 } }, Storage)
    expect(seqsOf(everything(again.storage))).toEqual(all)
    expect(files.faults).toEqual([])
  },
  LIMIT_MS,
)

test(
  'through many folds and checkpoints in the thread nothing is lost, and the file stays small',
  async () => {
    await using files = new Files()
    const options = {
      durability: 'relaxed',
      checkpointBytes: 256 * 1024,
      retention: { count: 10, ageMs: 1e9 },
    } as const
    const { storage, first } = await files.inUse(options, Storage)
    let seq = first
    for (let round = 0; round < 120; round++) {
      const before = numbers(seq - 500, 500).filter((one) => one >= first && one % 100 !== 0)
      const now = numbers(seq, 500)
      // a turn of the loop, in which the thread can say that it has started
      await new Promise((resolve) => setImmediate(resolve))
      seq += 500
      await storage.write([...before.map((one) => settle(one)), ...now.map((one) => submit(one))])
    }
    const left = numbers(first, seq - first).filter((one) => one % 100 === 0 || one >= seq - 500)
    expect(seqsOf(everything(storage)).filter((one) => one % 100 === 0 || one >= seq - 500)).toEqual(left)
    expect(storage.stats().commands).toEqual({ hot: left.length, cold: 0, settled: 10 })
    expect(storage.stats().walBytes).toBeLessThan(16 * 1024 * 1024)
    await storage.close()
    expect(files.faults).toEqual([])
    const again = await files.inUse(options, Storage)
    expect(seqsOf(again.storage.load())).toEqual(left)
    expect(again.storage.stats().fileBytes).toBeLessThan(10 * 1024 * 1024)
  },
  LIMIT_MS,
)

test(
  'an open storage that has nothing to do lets its process end, a write that is under way does not',
  async () => {
    await using files = new Files()
    const program = files.path('program.mjs')
    writeFileSync(
      program,
      `import { LocalStorage } from ${JSON.stringify(built.entry)}
       const storage = await LocalStorage.open({ path: process.argv[2] })
       const { nextSeq } = storage.attach({ idPrefix: 'p', retention: { count: 10, ageMs: 1e9 }, now: Date.now, onFault: (error) => { throw error } })
       let seq = nextSeq
       const batch = () => Array.from({ length: 200 }, () => ({ kind: 'submit', isCold: false, command: { seq: seq++, laneId: 'l', commandType: 't', priority: 1, createdAt: 1, state: 'pending', attempt: 0 } }))
       while (!(storage.write(batch()) instanceof Promise)) await new Promise((resolve) => setImmediate(resolve))
       // nobody waits for this one, and there is no timer: only the write itself keeps the process
       storage.write(batch()).then(() => process.stdout.write('written'))`,
    )
    const { stdout } = await promisify(execFile)(process.execPath, [program, files.path()])
    expect(stdout).toBe('written')
  },
  LIMIT_MS,
)

const nothing = (): void => undefined

/** A writer whose thread is this program. What is written here is lost. */
function writerOn(files: Files, code: string): Writer {
  const entry = files.path('thread.mjs')
  writeFileSync(entry, `import { parentPort } from 'node:worker_threads'\n${code}`)
  const settings = {
    committer: { write: nothing, foldAll: nothing, checkpoint: nothing } as unknown as WriterSettings['committer'],
    checkpointBytes: 1e9,
    startThread: () => new WriterThread(entry, { path: '', starts: '', identity: '', isFull: true }),
  }
  const host = {
    retention: { count: 1, ageMs: 1 },
    now: () => NOW,
    onFault: (error: unknown) => void files.faults.push(error),
  }
  return new Writer(settings, host, 0)
}

/** A batch that is large enough for the thread even before it runs. */
const large = () => new BatchPacker().pack([submit(1, { payload: 'x'.repeat(5_000_000) })])

/** A batch that goes to the thread when it is ready. */
const medium = () => new BatchPacker().pack(numbers(1, 100).map((seq) => submit(seq)))

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test(
  'no write waits for a thread that has not loaded yet, until it says that it is ready',
  async () => {
    await using files = new Files()
    const [begun, ready] = [files.path('begun'), files.path('ready')]
    const writer = writerOn(
      files,
      `import { existsSync, writeFileSync } from 'node:fs'
       parentPort.on('message', () => parentPort.postMessage({ isDone: true, value: 0, batches: 0, more: false, ms: 1 }))
       writeFileSync(${JSON.stringify(begun)}, '')
       const tell = () => existsSync(${JSON.stringify(ready)}) ? parentPort.postMessage('ready') : setTimeout(tell, 5)
       tell()`,
    )
    while (!existsSync(begun)) {
      expect(writer.write(medium())).toBeUndefined()
      await turn()
    }
    for (let more = 0; more < 100; more++) {
      expect(writer.write(medium())).toBeUndefined()
      await turn()
    }
    writeFileSync(ready, '')
    while (writer.write(medium()) === undefined) await turn()
    await writer.close()
  },
  LIMIT_MS,
)

test(
  'a loop that never turns could not hear of it: after some writes the thread is waited for',
  async () => {
    await using files = new Files()
    const answer = 'parentPort.postMessage({ isDone: true, value: 0, batches: 0, more: false, ms: 1 })'
    const writer = writerOn(files, `parentPort.on('message', () => ${answer})`)
    const asked = numbers(1, 20).map(() => writer.write(medium()))
    expect(asked.findIndex((one) => one !== undefined)).toBe(8)
    for (const one of asked.slice(8)) await expect(one).resolves.toBeUndefined()
    await writer.close()
  },
  LIMIT_MS,
)

test(
  'when the thread dies nothing hangs: what was under way fails for good, and so does everything after it',
  async () => {
    await using files = new Files()
    const writer = writerOn(files, `parentPort.once('message', () => process.exit(3))`)
    const answers = await Promise.allSettled([writer.write(large()), writer.write(large())])
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'STORAGE_FAILED', retryable: false } })
    }
    expect(() => writer.write(large())).toThrow(expect.objectContaining({ retryable: false }))
    expect(files.faults).toHaveLength(1)
    await expect(writer.close()).resolves.toBe(false)
  },
  LIMIT_MS,
)

test(
  'an error of the thread is judged as one of this thread: a full disk passes, a failed sync does not',
  async () => {
    await using files = new Files()
    const failing = (code: string, phase: string): string =>
      `{ isDone: false, failure: { phase: '${phase}', message: '${code}', code: '${code}', isCorruption: false } }`
    const writer = writerOn(
      files,
      `const answers = [${failing('SQLITE_FULL', 'commit')}, { isDone: true, value: 0, batches: 0, more: false, ms: 1 }, ${failing('SQLITE_IOERR_FSYNC', 'commit')}]
       parentPort.on('message', (order) => parentPort.postMessage(order.kind === 'write' ? answers.shift() : { isDone: true, value: 0, more: false, ms: 0 }))`,
    )
    await expect(writer.write(large())).rejects.toMatchObject({ code: 'STORAGE_FAILED', retryable: true })
    expect(files.faults).toEqual([])
    await expect(writer.write(large())).resolves.toBeUndefined()
    await expect(writer.write(large())).rejects.toMatchObject({ code: 'STORAGE_FAILED', retryable: false })
    expect(files.faults).toHaveLength(1)
    await writer.close()
  },
  LIMIT_MS,
)
