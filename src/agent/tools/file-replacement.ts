/**
 * Writes a file whole or not at all: beside its place first, under a name of its own, then put there in one step. So a reader never sees
 * half a file, and what stands there, a link included, is replaced and not written through.
 */
import { constants, type Stats } from 'node:fs'
import { access, type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { systemRandom } from '../../core/index.js'
import type { Spot } from './workspace.js'

const {
  O_WRONLY,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW = 0,
} = constants as Partial<typeof constants> & {
  O_WRONLY: number
  O_CREAT: number
  O_EXCL: number
}
const PERMISSIONS = 0o777
const NEW_FILE_MODE = 0o666

/** Puts a file at the spot. `like`: the file whose permissions and owner it takes over. */
export async function replaceFile(
  { folder, name }: Spot,
  like: Stats | undefined,
  fill: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const draft = folder.at(draftName())
  const file = await open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, NEW_FILE_MODE)
  try {
    try {
      await fill(file)
      if (like !== undefined) await takeOver(file, like)
    } finally {
      await file.close()
    }
    await rename(draft, folder.at(name))
  } catch (error) {
    await unlink(draft).catch(() => undefined)
    throw error
  }
}

async function takeOver(file: FileHandle, like: Stats): Promise<void> {
  await file.chmod(like.mode & PERMISSIONS)
  const own = await file.stat()
  // only root may give a file away; whoever may not keeps it
  if (own.uid !== like.uid || own.gid !== like.gid) await file.chown(like.uid, like.gid).catch(() => undefined)
}

/** Refuses a file that may not be written: replacing it would get around that. */
export const refuseReadOnly = ({ folder, name }: Spot): Promise<void> => access(folder.at(name), constants.W_OK)

const draftName = (): string => `.lane-draft-${systemRandom.next().toString(36).slice(2)}`
