/**
 * Every kind of command, with the types of its payload and its result. A definition knows nothing of the handler: who
 * submits `readText({ file })` gets a run of a `FileDigest` and imports no code that reads files.
 */
import { createHash } from 'node:crypto'
import { defineCommand } from '@a3s-lab/lane'
import type { DirectoryDigest, FileDigest } from './digest.js'
import type { Directory, TextFile, Tree } from './tree.js'

/** Not stored: means something only to the process that submits it. */
const ephemeral = { ephemeral: true }

// query: looks, changes nothing

/** Finds the text files of a folder. */
export const walkTree = defineCommand<{ root: string }, Tree>({ type: 'walk' })
/** Reads a file and counts what is in it: a part of a survey, which begins anew after a crash, and reads anew. */
export const readText = defineCommand<{ file: TextFile }, FileDigest>({ type: 'read', defaults: ephemeral })
/** Reads a directory: one `readText` per file, as children. */
export const survey = defineCommand<{ directory: Directory }, DirectoryDigest>({ type: 'survey' })
/** In how many lines of a directory one or two words stand. */
export const find = defineCommand<{ words: readonly string[]; directory: Directory }, number>({ type: 'find' })

// session: keeps notes

/** Adds a line to the notes; gives the number of the line. */
export const note = defineCommand<{ text: string }, number>({ type: 'note' })
/** Each text is noted once: its note's id is made of it. */
export const noteId = (text: string): string => `note/${createHash('sha256').update(text).digest('hex').slice(0, 16)}`

// skill: runs processes, gives what they print in the end

export const gitLog = defineCommand<{ root: string; path: string }, number>({ type: 'git log' })
export const countLines = defineCommand<{ files: readonly TextFile[] }, number>({ type: 'count' })
export const checkFiles = defineCommand<{ files: readonly TextFile[] }, string>({ type: 'check' })
export const indexWords = defineCommand<{ files: readonly TextFile[] }, string>({ type: 'index' })
export const deliver = defineCommand<{ to: string }, string>({ type: 'deliver' })
export const watch = defineCommand<{ root: string }, string>({ type: 'watch' })

// prompt: generates

/** Text in the manner of a directory, token by token. */
export const write = defineCommand<{ directory: string; tokens: number }, string>({ type: 'write' })

// system

/** One beat of the pulse: how long the work has lasted, and which process expects it when. */
export type Beat = { number: number; workedMs: number; process: string; dueAt: number }
/** Takes the pulse, and submits the next beat. There is always one of them, so the time worked outlives a crash. */
export const tick = defineCommand<Beat>({ type: 'tick' })

// control: each says when it was asked for, on the clock of `performance.now()`, so it ends with its process

export type Asked = { askedAt: number }
/** Looks at the queue: is it full? */
export const look = defineCommand<Asked, boolean>({ type: 'look', defaults: ephemeral })
/** Starts no further generation; those that run go on. */
export const pause = defineCommand<Asked>({ type: 'pause', defaults: ephemeral })
export const resume = defineCommand<Asked>({ type: 'resume', defaults: ephemeral })
/** Cancels the generation that has run longest. */
export const skip = defineCommand<Asked, boolean>({ type: 'skip', defaults: ephemeral })
/** Cancels all generations, those that wait too, and the processes that run on. Gives how many commands. */
export const stop = defineCommand<Asked, number>({ type: 'stop', defaults: ephemeral })
