/** The query lane: looks into files, changes nothing. Six at a time at most. */
import { readFile } from 'node:fs/promises'
import type { CommandContext } from '@a3s-lab/lane'
import { find, readText, survey, walkTree } from '../commands.js'
import { type DirectoryDigest, digest, type FileDigest, linesOf, together } from '../digest.js'
import type { Queue } from '../figures.js'
import type { Memory } from '../memory.js'
import { type Directory, type TextFile, walk } from '../tree.js'

/** Files that a survey reads side by side. */
const ABREAST = 8

export function handleQueries(queue: Queue, memory: Memory, limitMs: number): void {
  queue.handle(walkTree, ({ root }, { signal }) => walk(root, limitMs, signal))

  queue.handle(readText, async ({ file }, { signal }) => {
    const text = await readIfText(file, signal)
    return { ...digest(file.name, text ?? ''), isBinary: text === undefined }
  })

  queue.handle(survey, ({ directory }, context) => surveyOf(directory, context, memory))

  queue.handle(find, async ({ words, directory }, { signal }) => {
    let found = 0
    const what = words.join(' and ')
    for (const file of directory.files) {
      const text = await readIfText(file, signal)
      // a word is looked for in the lines of files that have it at all
      if (text === undefined || !words.every((word) => text.includes(word))) continue
      const places = linesOf(text).flatMap((line, index) =>
        words.every((word) => line.includes(word)) ? [`${file.name}:${index + 1}`] : [],
      )
      if (places.length > 0) memory.findingOf(`${what}: ${places.length} lines of ${file.name}, first ${places[0]}`)
      found += places.length
    }
    memory.foundLines += found
    return found
  })
}

/**
 * A survey waits for its children in its own lane. `context.run` lends them its slot meanwhile, so a lane
 * full of surveys does not wait for itself for ever. When a survey is cancelled, so are its children; and after a crash
 * it runs again as a whole.
 */
async function surveyOf(directory: Directory, context: CommandContext, memory: Memory): Promise<DirectoryDigest> {
  const files: FileDigest[] = []
  for (let at = 0; at < directory.files.length; at += ABREAST) {
    const some = directory.files.slice(at, at + ABREAST)
    memory.lenders++
    const children = some.map((file) => context.run<FileDigest>('query', readText({ file })))
    files.push(...(await Promise.all(children).finally(() => memory.lenders--)))
    context.progress(files.length)
  }
  const texts = files.filter(({ isBinary }) => !isBinary)
  return together(directory.name, texts, files.length - texts.length)
}

/** A file's text; undefined when it is binary or gone. */
async function readIfText({ path }: TextFile, signal: AbortSignal): Promise<string | undefined> {
  try {
    const bytes = await readFile(path, { signal })
    return bytes.subarray(0, 8000).includes(0) ? undefined : bytes.toString('utf8')
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}
