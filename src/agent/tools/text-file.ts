/** Files as text: what is binary, how lines end, and whole files within a limit. */
import type { FileHandle } from 'node:fs/promises'
import { ToolError } from './tool-error.js'

const BOM = '\uFEFF'
/** How far a NUL byte is looked for: no text has one. */
const LOOKED_AT_BYTES = 8192

/** Whether these first bytes of a file are no text. */
export const isBinary = (bytes: Uint8Array): boolean => bytes.subarray(0, LOOKED_AT_BYTES).includes(0)

export type FileText = {
  /** Without the mark of byte order. */
  readonly text: string
  readonly hasBom: boolean
  /** Of most of its lines. */
  readonly lineEnd: '\n' | '\r\n'
}

/** All bytes of a file, also of one that grows or that tells no size. Throws a `ToolError` beyond `most`. */
export async function readWhole(handle: FileHandle, most: number, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    signal.throwIfAborted()
    const { size } = await handle.stat()
    const room = Math.min(most + 1 - total, Math.max(size - total, 0) + 1)
    const chunk = Buffer.allocUnsafe(Math.max(room, 4096))
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, null)
    if (bytesRead === 0) return Buffer.concat(chunks, total)
    chunks.push(chunk.subarray(0, bytesRead))
    total += bytesRead
    if (total > most) throw new ToolError(`The file has more than ${most} bytes, the most that this tool takes`)
  }
}

/** Takes a text's bytes apart. Undefined when they are not UTF-8, so that writing it back would change it. */
export function textOf(bytes: Uint8Array): FileText | undefined {
  const raw = decoded(bytes)
  if (raw === undefined) return undefined
  const hasBom = raw.startsWith(BOM)
  return { text: hasBom ? raw.slice(1) : raw, hasBom, lineEnd: lineEndOf(raw) }
}

export const bytesOf = (text: string, hasBom: boolean): Buffer => Buffer.from(hasBom ? BOM + text : text)

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function lineEndOf(text: string): '\n' | '\r\n' {
  const all = text.split('\n').length - 1
  const windows = text.split('\r\n').length - 1
  return windows * 2 > all ? '\r\n' : '\n'
}

type Picture = { readonly mediaType: string; readonly starts: (head: string) => boolean }

const pictures: readonly Picture[] = [
  { mediaType: 'image/png', starts: (head) => head.startsWith('\x89PNG\r\n\x1a\n') },
  { mediaType: 'image/jpeg', starts: (head) => head.startsWith('\xff\xd8\xff') },
  { mediaType: 'image/gif', starts: (head) => /^GIF8[79]a/.test(head) },
  { mediaType: 'image/webp', starts: (head) => head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP' },
]

/** The media type of a picture that models take, by its first bytes. */
export function pictureType(bytes: Buffer): string | undefined {
  const head = bytes.subarray(0, 16).toString('latin1')
  return pictures.find(({ starts }) => starts(head))?.mediaType
}
