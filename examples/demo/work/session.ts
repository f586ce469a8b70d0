/** The session lane: keeps the notes. One at a time, so they stand in order, each on the disk before the next. */
import { readFileSync, writeFileSync } from 'node:fs'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { note } from '../commands.js'
import { linesOf } from '../digest.js'
import type { Queue } from '../figures.js'
import type { Memory } from '../memory.js'

const fileOf = (folder: string): string => join(folder, 'notes.txt')

/**
 * Notes that were written by a process that was killed before this was recorded run again. They find their ids in the file and
 * write nothing: a command runs at least once, and this makes it count once.
 */
export async function handleSession(queue: Queue, memory: Memory, folder: string): Promise<FileHandle> {
  const written = tidied(fileOf(folder))
  const file = await open(fileOf(folder), 'a')
  memory.notes = written.size
  memory.notesBefore = written.size
  queue.handle(note, async ({ text }, { id, signal }) => {
    const line = written.get(id)
    if (line !== undefined) {
      memory.notesBefore--
      return line
    }
    const { size } = await file.stat()
    await file.appendFile(`${memory.notes + 1} ${id} ${text.replaceAll('\n', ' ')}\n`)
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

/** How many notes are in the file, and whether they are numbered without a gap, none of them twice. */
export async function checkNotes(folder: string): Promise<{ readonly notes: number; readonly inOrder: boolean }> {
  const lines = linesOf(await readFile(fileOf(folder), 'utf8'))
  const ids = new Set(lines.map(idOf))
  const isNumbered = lines.every((line, index) => line.startsWith(`${index + 1} `))
  return { notes: lines.length, inOrder: isNumbered && ids.size === lines.length }
}

/** The ids of what an earlier process has written, with their lines; the half of a line that it ended with is cut off. */
function tidied(path: string): ReadonlyMap<string, number> {
  writeFileSync(path, '', { flag: 'a' })
  const text = readFileSync(path, 'utf8')
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  if (whole !== text) writeFileSync(path, whole)
  return new Map(linesOf(whole).map((line, index) => [idOf(line), index + 1]))
}

const idOf = (line: string): string => line.split(' ', 2)[1] ?? ''
