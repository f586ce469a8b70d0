import type { FileDiff } from './file-diff.js'
import { fileDiff } from './file-diff.js'
import { refuseReadOnly, replaceFile } from './file-replacement.js'
import type { ToolLimits } from './limits.js'
import { isBinary, readWhole, textOf } from './text-file.js'
import { defineTool, type Tool } from './tool.js'
import { about, ToolError } from './tool-error.js'
import { type Place, refuseOtherThanFile, Workspace } from './workspace.js'

export const writeTool = (limits: ToolLimits): Tool =>
  defineTool({
    name: 'write',
    description: `Writes a text file of the workspace, whole: it is made, or replaces the one that is there. Folders on the way are made. At most ${limits.fileBytes} bytes. To change a part of a file use edit.`,
    parameters: (z) =>
      z.strictObject({
        path: z.string().describe('The file, from the workspace folder on'),
        content: z.string().describe('All of its text'),
      }),
    run: async ({ path, content }, { workspace, signal }) => {
      const bytes = Buffer.from(content)
      if (bytes.length > limits.fileBytes) {
        throw new ToolError(`The content has ${bytes.length} bytes; at most ${limits.fileBytes} can be written`)
      }
      const place = await workspace.locate(path)
      refuseOtherThanFileToBe(place)
      const before = await textBefore(workspace, place, limits, signal)
      await putFile(workspace, place, bytes)
      const diff =
        before === undefined ? undefined : fileDiff(Workspace.relative(place), before, content, limits.diffChars)
      return { output: saying(place, bytes.length, diff), metadata: metadataOf(place, bytes.length, diff) }
    },
  })

/** Where a file may be made or replaced. */
function refuseOtherThanFileToBe(place: Place): void {
  if (place.stats !== undefined) refuseOtherThanFile(place)
  if (place.endsAsFolder) throw new ToolError(`${place.text} names a folder: name the file`)
}

/** Puts these bytes at a place, with the permissions of the file that is there. */
export async function putFile(workspace: Workspace, place: Place, bytes: Buffer): Promise<void> {
  const spot = await workspace.openParent(place)
  try {
    await about(place.text, async () => {
      if (place.stats !== undefined) await refuseReadOnly(spot)
      await replaceFile(spot, place.stats, (file) => file.writeFile(bytes))
    })
  } finally {
    await spot.folder.close()
  }
}

/** The text that is replaced: empty for a new file; undefined when it is no text or too long to compare. */
async function textBefore(
  workspace: Workspace,
  place: Place,
  limits: ToolLimits,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (place.stats === undefined) return ''
  if (place.stats.size > limits.fileBytes) return undefined
  const handle = await workspace.openFile(place)
  try {
    const bytes = await readWhole(handle, limits.fileBytes, signal)
    return isBinary(bytes) ? undefined : textOf(bytes)?.text
  } finally {
    await handle.close()
  }
}

function saying(place: Place, bytes: number, diff: FileDiff | undefined): string {
  const path = Workspace.relative(place)
  if (place.stats === undefined) return `Created ${path} (${bytes} bytes)`
  const change = diff === undefined ? '' : `, ${diff.added} lines added, ${diff.removed} removed`
  return `Overwrote ${path} (${bytes} bytes${change})`
}

const metadataOf = (place: Place, bytes: number, diff: FileDiff | undefined): Record<string, unknown> => ({
  path: Workspace.relative(place),
  bytes,
  created: place.stats === undefined,
  ...(diff === undefined ? {} : { diff: diff.text, added: diff.added, removed: diff.removed }),
})
