/**
 * HCL as values: by the parser of HCL itself, which is loaded when the first text is read. Blocks are lists of objects,
 * expressions texts of the form `${…}`.
 */
import { errorText } from '../core/index.js'
import { requirePeer } from '../peer/index.js'
import { faultAt, locatedAt } from './config-fault.js'
import type { Outline } from './config-outline.js'
import { findMixedKey, hclOutline } from './hcl-outline.js'

type Parser = { readonly parse: (filename: string, text: string) => Promise<unknown> }

/** What the parser's runtime leaves on the global object while it loads; it needs none of it afterwards. */
const LEFT_BEHIND = ['Go', 'fs', 'require', '__parse_terraform_config_wasm__']

/** The values of an HCL text, and where they stand. `name` is the file in errors: `CONFIG_INVALID` with line and column. */
export async function parseHcl(text: string, name: string): Promise<{ value: unknown; outline: Outline }> {
  const value = await parsed(text, name)
  const outline = hclOutline(text)
  const mixed = findMixedKey(outline)
  if (mixed === undefined) return { value, outline }
  throw locatedAt({ name, text }, mixed.at, `'${mixed.key}' is there as a block and with '=': write it in one way`)
}

async function parsed(text: string, name: string): Promise<unknown> {
  const before = new Set(Object.getOwnPropertyNames(globalThis))
  const { parse } = requirePeer<Parser>('@cdktf/hcl2json', '@a3s-lab/lane/agent')
  try {
    return await parse(FILE, text)
  } catch (error) {
    throw syntaxError(errorText(error), text, name)
  } finally {
    for (const key of LEFT_BEHIND) if (!before.has(key)) Reflect.deleteProperty(globalThis, key)
  }
}

/** Stands for the file in the parser's messages: a name of the user's may look like a place. */
const FILE = 'config'
const PLACE = /config:(\d+),(\d+)(?:-(?:\d+,)?\d+)?: /

/** `parse config: [config:1,5-2,1: Invalid expression; Expected … config:2,1-2: …]`: the first of them. */
function syntaxError(message: string, text: string, name: string): Error {
  const first = PLACE.exec(message)
  if (first === null) return faultAt({ name, text }, { line: 1, column: 1 }, 'it is no HCL')
  const rest = message.slice(first.index + first[0].length)
  const end = rest.search(PLACE)
  const what = (end < 0 ? rest.replace(/\]$/, '') : rest.slice(0, end)).trim()
  const place = { line: Number(first[1]), column: Number(first[2]) }
  return faultAt({ name, text }, place, what.replace(/; /g, ': ').replace(/\.$/, '').replace(PLACES, 'line $1'))
}

const PLACES = /config:(\d+),\d+(?:-(?:\d+,)?\d+)?/g
