import type { FileHandle } from 'node:fs/promises'
import type { ToolOutput } from '../../session/index.js'
import type { ToolLimits } from './limits.js'
import { type LinesFound, readLines } from './line-reader.js'
import { isBinary, pictureType, readWhole } from './text-file.js'
import { defineTool, type Tool } from './tool.js'
import { ToolError } from './tool-error.js'
import { type Place, Workspace } from './workspace.js'

const HEAD_BYTES = 8192
const NUMBER_WIDTH = 6
const UTF8_BOM = Buffer.from([0xef, 0xbb, 0xbf])

type Wanted = { readonly offset: number; readonly limit: number }

export const readTool = (limits: ToolLimits): Tool =>
  defineTool({
    name: 'read',
    description: `Reads a text file of the workspace, or looks at a png, jpeg, gif or webp picture. Each line is given after its number and a tab; line ends are kept. At most ${limits.readChars} characters in one call, and ${limits.readLines} lines unless limit says otherwise: the last line of the output then says how to read on.`,
    readOnly: true,
    parameters: (z) =>
      z.strictObject({
        path: z.string().describe('The file, from the workspace folder on'),
        offset: z.int().min(1).optional().describe('Number of the first line, from 1'),
        limit: z.int().min(1).optional().describe(`How many lines; ${limits.readLines} by default`),
      }),
    run: async ({ path, offset = 1, limit = limits.readLines }, { workspace, signal }) => {
      const place = await workspace.locate(path)
      const handle = await workspace.openFile(place)
      try {
        return await readOpen({ handle, place, limits, signal }, { offset, limit })
      } finally {
        await handle.close()
      }
    },
  })

type Reading = {
  readonly handle: FileHandle
  readonly place: Place
  readonly limits: ToolLimits
  readonly signal: AbortSignal
}

async function readOpen(reading: Reading, wanted: Wanted): Promise<ToolOutput> {
  const { handle, place, limits, signal } = reading
  const head = Buffer.alloc(HEAD_BYTES)
  const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, null)
  const first = head.subarray(0, bytesRead)
  const mediaType = pictureType(first)
  if (mediaType !== undefined) return readPicture(reading, first, mediaType)
  if (isBinary(first)) throw new ToolError(`${place.text} is a binary file`)
  const hasBom = first.subarray(0, 3).equals(UTF8_BOM)
  const found = await readLines(
    handle,
    hasBom ? first.subarray(3) : first,
    {
      offset: wanted.offset,
      lines: wanted.limit,
      chars: limits.readChars,
      lineChars: limits.lineChars,
      countedBytes: limits.fileBytes,
    },
    signal,
  )
  return outputOf(place, wanted.offset, found, hasBom)
}

function outputOf(place: Place, offset: number, { lines, total }: LinesFound, hasBom: boolean): ToolOutput {
  if (total === 0) return { output: '(the file is empty)', metadata: { path: Workspace.relative(place), lines: 0 } }
  if (lines.length === 0) throw new ToolError(`${place.text} has only ${total} lines; offset was ${offset}`)
  const last = offset + lines.length - 1
  const text = lines.map((line, index) => `${String(offset + index).padStart(NUMBER_WIDTH)}\t${line}`).join('\n')
  const isWhole = last === total
  const rest = `(lines ${offset} to ${last} of ${total ?? 'more'}; read on with offset ${last + 1})`
  return {
    output: isWhole ? text : `${text}\n${rest}`,
    metadata: {
      path: Workspace.relative(place),
      first_line: offset,
      last_line: last,
      ...(total === undefined ? {} : { lines: total }),
      has_more: !isWhole,
      has_bom: hasBom,
    },
  }
}

async function readPicture(
  { handle, place, limits, signal }: Reading,
  first: Buffer,
  mediaType: string,
): Promise<ToolOutput> {
  const most = limits.imageBytes
  const { size } = await handle.stat()
  if (size > most) throw new ToolError(`${place.text} is a picture of ${size} bytes; at most ${most} can be looked at`)
  const bytes = Buffer.concat([first, await readWhole(handle, most, signal)])
  return {
    output: `(a picture, ${mediaType}, ${bytes.length} bytes)`,
    images: [{ mediaType, data: bytes.toString('base64') }],
    metadata: { path: Workspace.relative(place), media_type: mediaType, bytes: bytes.length },
  }
}
