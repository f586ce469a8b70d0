import { rename } from 'node:fs/promises'
import { systemRandom } from '../../core/index.js'
import { removeTree } from './delete-tool.js'
import type { ToolLimits } from './limits.js'
import { defineTool, type Tool } from './tool.js'
import { about, ToolError } from './tool-error.js'
import { between, fromTo, transferOf } from './transfer.js'
import { TreeCopy } from './tree-copy.js'
import { kindText, type Spot } from './workspace.js'

export const copyTool = (limits: ToolLimits): Tool =>
  defineTool({
    name: 'copy',
    description: `Copies a file, or a folder with everything in it, within the workspace. to is the path of the copy, its name included; folders on the way are made. What is there already is kept, unless it is a file and overwrite is true. Links are not copied. At most ${limits.walkedEntries} entries and ${limits.copyBytes} bytes; beyond that nothing is copied.`,
    parameters: (z) =>
      z.strictObject({
        from: z.string().describe('The file or folder, from the workspace folder on'),
        to: z.string().describe('The path of the copy'),
        overwrite: z.boolean().optional().describe('Replace a file that is there; false by default'),
      }),
    run: async (args, { workspace, signal }) => {
      const transfer = await transferOf(workspace, args)
      const { source, isFolder } = transfer
      if (source.stats !== undefined && !isFolder && !source.stats.isFile()) {
        throw new ToolError(`${source.text} is ${kindText(source.stats)}, which is not copied`)
      }
      const copy = new TreeCopy(limits, signal)
      await between(workspace, transfer, (from, to) =>
        about(source.text, () => (isFolder ? wholeFolder(copy, from, to) : copy.file(from, to))),
      )
      const paths = fromTo(transfer)
      const skipped = copy.skipped > 0 ? `; ${copy.skipped} links or special files were left out` : ''
      return {
        output: `Copied ${paths.from} to ${paths.to} (${copy.bytes} bytes in ${copy.entries} entries${skipped})`,
        metadata: { ...paths, entries: copy.entries, bytes: copy.bytes, skipped: copy.skipped },
      }
    },
  })

/** A folder is copied under a name of its own and put in its place in one step; a copy that fails leaves nothing. */
async function wholeFolder(copy: TreeCopy, from: Spot, to: Spot): Promise<void> {
  const draft = `.lane-draft-${systemRandom.next().toString(36).slice(2)}`
  try {
    await copy.folder(from, { folder: to.folder, name: draft })
    await rename(to.folder.at(draft), to.folder.at(to.name))
  } catch (error) {
    await removeTree(to.folder, draft, true, new AbortController().signal).catch(() => undefined)
    throw error
  }
}
