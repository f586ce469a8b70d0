/** A configuration in one of its forms, read but not understood: a file, HCL or JSON as text, an object. */
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { configInvalid, errorText, LaneError } from '../core/index.js'
import { locatedAt } from './config-fault.js'
import type { Outline } from './config-outline.js'
import { parseHcl } from './hcl.js'
import { jsonOutline } from './json-outline.js'

/** What errors say of where they are. `outline` is missing for an object: only its paths can be named. */
export type ConfigText = {
  /** The path of the file, or what the text is. */
  readonly name: string
  readonly text: string
  readonly outline: Outline
}

/** What was read: values by key, and where they stand. */
export type ReadConfig = {
  readonly form: 'hcl' | 'json' | 'object'
  readonly value: unknown
  readonly source: ConfigText | undefined
}

/** `source` as values: the path of a file, else HCL or JSON as text, else an object. `CONFIG_INVALID` for one that cannot be read. */
export async function readConfig(source: unknown): Promise<ReadConfig> {
  if (typeof source === 'object' && source !== null) return { form: 'object', value: source, source: undefined }
  if (typeof source !== 'string' || source.trim() === '') {
    throw configInvalid('source', 'the path of a file, HCL or JSON as text, or an object', source)
  }
  const path = await existingFile(source)
  if (path === undefined) return parse(source, undefined)
  return parse(await readFile(path, 'utf8'), path)
}

/** The path, when a file is there; undefined for what is a text itself. */
async function existingFile(source: string): Promise<string | undefined> {
  if (/[\n\r\0]/.test(source)) return undefined
  const path = source.startsWith('~/') ? join(homedir(), source.slice(2)) : source
  try {
    if ((await stat(path)).isFile()) return path
  } catch (error) {
    const { code } = error as { code?: string }
    const isAbsent = code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG'
    if (!isAbsent) throw unreadable(path, errorText(error), error)
    if (/\.(?:hcl|json)$/i.test(source)) throw unreadable(path, 'file not found', error)
    return undefined
  }
  throw unreadable(path, 'it is no file')
}

const unreadable = (path: string, why: string, cause?: unknown): LaneError =>
  new LaneError('CONFIG_INVALID', `Configuration error: ${path}: ${why}`, {
    cause,
    fields: { option: 'source', file: path },
  })

async function parse(whole: string, path: string | undefined): Promise<ReadConfig> {
  const text = whole.replace(/^\uFEFF/, '')
  const isJson = text.trimStart().startsWith('{') || (path !== undefined && /\.json$/i.test(path))
  if (isJson) return parseJson(text, path ?? '<json>')
  const { value, outline } = await parseHcl(text, path ?? '<hcl>')
  return { form: 'hcl', value, source: { name: path ?? '<hcl>', text, outline } }
}

function parseJson(text: string, name: string): ReadConfig {
  const outline = jsonOutline(text)
  if ('what' in outline) throw locatedAt({ name, text }, outline.at, `no JSON: ${outline.what}`)
  return { form: 'json', value: JSON.parse(text), source: { name, text, outline } }
}
