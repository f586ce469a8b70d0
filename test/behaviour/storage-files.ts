/** Storages in temporary folders, the changes that tests write into them, and the storage as a built package for its thread. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { StorageChange, StorageUse, StoredCommand } from '@a3s-lab/lane'
import { LocalStorage, type LocalStorageOptions } from '@a3s-lab/lane/storage'
import { rolldown } from 'rolldown'

/** A folder that goes with the test, and every storage that was opened in it. */
export class Files implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'lane-files-'))
  readonly #open: LocalStorage[] = []
  readonly faults: unknown[] = []

  path(name = 'queue.db'): string {
    return join(this.folder, name)
  }

  async open(options: Partial<LocalStorageOptions> = {}, Storage = LocalStorage): Promise<LocalStorage> {
    const storage = await Storage.open({ path: this.path(), ...options })
    this.#open.push(storage)
    return storage
  }

  /** Opened and in use, with the first number that a queue would give out. */
  async inUse(
    options: Partial<LocalStorageOptions & StorageUse> = {},
    Storage = LocalStorage,
  ): Promise<{ storage: LocalStorage; first: number }> {
    const { idPrefix = 'q', retention = { count: 1000, ageMs: 1e9 }, now = () => NOW, onFault, ...rest } = options
    const storage = await this.open(rest, Storage)
    const use = { idPrefix, retention, now, onFault: onFault ?? ((error: unknown) => void this.faults.push(error)) }
    return { storage, first: storage.attach(use).nextSeq }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const storage of this.#open) await storage.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export const NOW = 1_790_000_000_000

type Submit = Extract<StorageChange, { kind: 'submit' }>

export const submit = (seq: number, more: Partial<Submit['command']> = {}, isCold = false): Submit => ({
  kind: 'submit',
  isCold,
  command: {
    seq,
    id: undefined,
    laneId: 'lane',
    commandType: 'type',
    payload: `{"n":${seq}}`,
    priority: 1000,
    key: undefined,
    createdAt: NOW,
    options: undefined,
    state: 'pending',
    attempt: 0,
    dueAt: undefined,
    checkpoint: undefined,
    details: undefined,
    ...more,
  },
})

type Settle = Extract<StorageChange, { kind: 'settle' }>

export const settle = (seq: number, more: Partial<Settle> = {}): Settle => ({
  kind: 'settle',
  seq,
  state: 'completed',
  attempt: 1,
  endedAt: NOW,
  result: `"done ${seq}"`,
  error: undefined,
  details: undefined,
  keepUntil: undefined,
  ...more,
})

/** `count` numbers from `first` on. */
export const numbers = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => first + index)

/** Everything that is stored, in order. */
export const everything = (storage: Pick<LocalStorage, 'list'>): readonly StoredCommand[] =>
  storage.list({ laneId: undefined, state: undefined, fromSeq: 0, limit: 1_000_000 })

export const seqsOf = (commands: Iterable<StoredCommand>): number[] => [...commands].map(({ seq }) => seq)

/** A code and a sentence, as an error has them. */
export const saying = (code: string, message: RegExp): object =>
  ({
    asymmetricMatch: (error: { code?: unknown; message?: unknown }) =>
      error.code === code && message.test(String(error.message)),
    toString: () => `${code} ${message}`,
  }) as object

/** The storage as the package has it: JavaScript with a thread beside it. Built once per test file. */
export class BuiltStorage implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'lane-built-'))

  async build(): Promise<typeof LocalStorage> {
    const source = new URL('../../src/storage/', import.meta.url)
    const build = await rolldown({
      input: {
        storage: fileURLToPath(new URL('index.ts', source)),
        'thread-entry': fileURLToPath(new URL('thread-entry.ts', source)),
      },
      platform: 'node',
      tsconfig: false,
      logLevel: 'silent',
    })
    // all in one folder, so that the thread's file is beside whoever looks for it
    await build.write({
      dir: this.folder,
      format: 'esm',
      chunkFileNames: '[name]-[hash].js',
      entryFileNames: '[name].js',
    })
    await build.close()
    const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))
    if (!existsSync(join(this.folder, 'node_modules'))) symlinkSync(modules, join(this.folder, 'node_modules'))
    mkdirSync(join(this.folder, 'data'), { recursive: true })
    const built = (await import(this.entry)) as { LocalStorage: typeof LocalStorage }
    return built.LocalStorage
  }

  get entry(): string {
    return join(this.folder, 'storage.js')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
