import { fileDiff } from './file-diff.js'
import { changed, isSame } from './folder.js'
import type { ToolLimits } from './limits.js'
import { edited } from './text-edit.js'
import { bytesOf, type FileText, isBinary, readWhole, textOf } from './text-file.js'
import { defineTool, type Tool } from './tool.js'
import { ToolError } from './tool-error.js'
import { type Place, Workspace } from './workspace.js'
import { putFile } from './write-tool.js'

export const editTool = (limits: ToolLimits): Tool =>
  defineTool({
    name: 'edit',
    description: `Replaces a piece of a text file of the workspace. old_string must be in the file exactly, with its whitespace, and once; with replace_all each of its places is replaced. Line ends and a byte order mark are kept. Files of at most ${limits.fileBytes} bytes.`,
    parameters: (z) =>
      z.strictObject({
        path: z.string().describe('The file, from the workspace folder on'),
        old_string: z.string().min(1).describe('The text to replace, exactly as it stands there, without line numbers'),
        new_string: z.string().describe('The text instead'),
        replace_all: z.boolean().optional().describe('Replace all places, not exactly one; false by default'),
      }),
    run: async (args, { workspace, signal }) => {
      const { path, old_string: old, new_string: replacement, replace_all: isAll = false } = args
      if (old === replacement) throw new ToolError('old_string and new_string are the same: nothing would change')
      const place = await workspace.locate(path)
      const file = await textAt(workspace, place, limits, signal)
      const { text, count } = edited(file, { old, new: replacement, isAll })
      const bytes = bytesOf(text, file.hasBom)
      if (bytes.length > limits.fileBytes) {
        throw new ToolError(`The file would have ${bytes.length} bytes; at most ${limits.fileBytes} can be written`)
      }
      await refuseChanged(workspace, path, place)
      await putFile(workspace, place, bytes)
      const shownPath = Workspace.relative(place)
      const diff = fileDiff(shownPath, file.text, text, limits.diffChars)
      return {
        output: `Edited ${shownPath} (${count === 1 ? '1 place' : `${count} places`})\n${diff?.text ?? ''}`,
        metadata: { path: shownPath, replaced: count, diff: diff?.text, added: diff?.added, removed: diff?.removed },
      }
    },
  })

async function textAt(workspace: Workspace, place: Place, limits: ToolLimits, signal: AbortSignal): Promise<FileText> {
  const handle = await workspace.openFile(place)
  try {
    const bytes = await readWhole(handle, limits.fileBytes, signal)
    const text = isBinary(bytes) ? undefined : textOf(bytes)
    if (text === undefined) throw new ToolError(`${place.text} is not UTF-8 text`)
    return text
  } finally {
    await handle.close()
  }
}

/** What somebody else has written since it was read would be lost. */
async function refuseChanged(workspace: Workspace, path: string, before: Place): Promise<void> {
  const { stats } = await workspace.locate(path)
  const old = before.stats
  if (stats === undefined || old === undefined) throw changed()
  if (!isSame(stats, old) || stats.mtimeMs !== old.mtimeMs || stats.size !== old.size) throw changed()
}
