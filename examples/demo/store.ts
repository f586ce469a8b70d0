/**
 * Where the demo keeps what it does: a folder of its own with the queue's storage, the notes, the drafts and the index.
 * The folder belongs to the folder that is worked on, so the same command line finds it again after a crash. It goes when
 * the work has ended; what is killed leaves it behind.
 */
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { killAll } from './child-process.js'

export type Store = {
  readonly folder: string
  /** Undefined when everything is to stay in memory. */
  readonly storage: LocalStorage | undefined
  /** Whether an earlier run was killed, and its work is still here. */
  readonly isFound: boolean
}

const FILE = 'lane.db'

/** With `fresh` whatever an earlier run has left is removed first. */
export async function openStore(
  root: string,
  { memory, fresh }: { readonly memory: boolean; readonly fresh: boolean },
): Promise<Store> {
  if (memory) return { folder: mkdtempSync(join(tmpdir(), 'lane-demo-')), storage: undefined, isFound: false }
  const folder = folderOf(root)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (!isOurs(folder)) throw new Error(`${folder} belongs to somebody else`)
  const path = join(folder, FILE)
  if (fresh && existsSync(path)) {
    // Opened first: the lock says whether another demo is at work in there.
    await (await LocalStorage.open({ path })).close()
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { mode: 0o700 })
  }
  const isFound = existsSync(path)
  return { folder, storage: await LocalStorage.open({ path }), isFound }
}

/** Nothing of the demo's is left, however it ends, unless it is killed. */
export function removeAtExit({ folder }: Store): void {
  process.once('exit', () => {
    killAll()
    rmSync(folder, { recursive: true, force: true })
  })
}

/** One for each folder that is worked on, and each user. */
function folderOf(root: string): string {
  const { uid, username } = userInfo()
  const name = createHash('sha256').update(root).digest('hex').slice(0, 8)
  return join(tmpdir(), `lane-demo-${uid < 0 ? username : uid}-${name}`)
}

function isOurs(folder: string): boolean {
  const found = lstatSync(folder)
  return found.isDirectory() && (process.getuid === undefined || found.uid === process.getuid())
}
