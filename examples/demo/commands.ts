/**
 * Every kind of command, with the types of its payload and its result. A definition knows nothing of the handler: who
 * submits `readText({ file })` gets a run of a `FileDigest` and imports no code that reads files.
 */
import { defineCommand } from '@a3s-lab/lane'
import type { DirectoryDigest, FileDigest } from './digest.js'
import type { Directory, TextFile, Tree } from './tree.js'

// query: looks, changes nothing

/** Finds the text files of a folder. */
export const walkTree = defineCommand<{ root: string; limitMs: number }, Tree>({ type: 'walk' })
/** Reads a file and counts what is in it. */
export const readText = defineCommand<{ file: TextFile }, FileDigest>({ type: 'read' })
/** Reads a directory: one `readText` per file, as children. */
export const survey = defineCommand<{ directory: Directory }, DirectoryDigest>({ type: 'survey' })
/** Where one or two words stand in a directory, as 'file:line'. */
export const find = defineCommand<{ words: readonly string[]; directory: Directory }, string[]>({ type: 'find' })

// session: keeps notes

/** Adds a line to the notes; gives the number of the line. */
export const note = defineCommand<{ text: string }, number>({ type: 'note' })

// skill: runs processes, gives what they print in the end

export const gitLog = defineCommand<{ root: string; path: string }, string>({ type: 'git log' })
export const countLines = defineCommand<{ files: readonly TextFile[] }, number>({ type: 'count' })
export const checkFiles = defineCommand<{ files: readonly TextFile[] }, string>({ type: 'check' })
export const indexWords = defineCommand<{ files: readonly TextFile[] }, string>({ type: 'index' })
export const deliver = defineCommand<{ to: string }, string>({ type: 'deliver' })
export const watch = defineCommand<{ root: string }, string>({ type: 'watch' })

// prompt: generates

/** Text in the manner of a directory, token by token. */
export const write = defineCommand<{ directory: string; tokens: number }, string>({ type: 'write' })

// system

/** Takes the pulse of the process, and submits the next one. */
export const tick = defineCommand<{ dueAt: number }>({ type: 'tick' })

// control: each says when it was asked for, on the clock of `performance.now()`

export type Asked = { askedAt: number }
/** Looks at the queue: is it full? */
export const look = defineCommand<Asked, boolean>({ type: 'look' })
/** Starts no further generation; those that run go on. */
export const pause = defineCommand<Asked>({ type: 'pause' })
export const resume = defineCommand<Asked>({ type: 'resume' })
/** Cancels the generation that has run longest. */
export const skip = defineCommand<Asked, boolean>({ type: 'skip' })
/** Cancels all generations, those that wait too, and the processes that run on. Gives how many commands. */
export const stop = defineCommand<Asked, number>({ type: 'stop' })
