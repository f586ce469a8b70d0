/** The session lane: keeps the notes. One at a time, so they stand in order, each on the disk before the next. */
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { note } from '../commands.js'
import { linesOf } from '../digest.js'
import type { Queue } from '../figures.js'
import type { Memory } from '../memory.js'

const fileOf = (folder: string): string => join(folder, 'notes.txt')

export async function handleSession(queue: Queue, memory: Memory, folder: string): Promise<FileHandle> {
  const file = await open(fileOf(folder), 'a')
  queue.handle(note, async ({ text }, { signal }) => {
    const { size } = await file.stat()
    await file.appendFile(`${memory.notes + 1} ${text.replaceAll('\n', ' ')}\n`)
    await file.datasync()
    if (signal.aborted) {
      // Cancelled meanwhile: who asked for it was told so at once. The slot is still held, so nobody writes in between.
      await file.truncate(size)
      throw signal.reason
    }
    return ++memory.notes
  })
  return file
}

/** How many notes are in the file, and whether they are numbered without a gap. */
export async function checkNotes(folder: string): Promise<{ readonly notes: number; readonly inOrder: boolean }> {
  const lines = linesOf(await readFile(fileOf(folder), 'utf8'))
  return { notes: lines.length, inOrder: lines.every((line, index) => line.startsWith(`${index + 1} `)) }
}
