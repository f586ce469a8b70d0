import type { Dirent, Stats } from 'node:fs'
import { readdir, rmdir, unlink } from 'node:fs/promises'
import type { ToolOutput } from '../../session/index.js'
import type { Folder } from './folder.js'
import { defineTool, type Tool } from './tool.js'
import { about, ToolError } from './tool-error.js'
import { kindOf, kindText, type Place, Workspace } from './workspace.js'

/** A folder is held open for each level. */
const DEEPEST = 200

export const deleteTool = (): Tool =>
  defineTool({
    name: 'delete',
    description:
      'Deletes a file of the workspace, or a folder with everything in it when recursive is true. A link is deleted itself, never what it leads to. There is no way back.',
    parameters: (z) =>
      z.strictObject({
        path: z.string().describe('The file or folder, from the workspace folder on'),
        recursive: z.boolean().optional().describe('Delete a folder and all it holds; false by default'),
      }),
    run: async ({ path, recursive = false }, { workspace, signal }) => {
      const place = await workspace.locate(path, true)
      if (place.stats === undefined) throw new ToolError(`${place.text} does not exist`)
      const { folder, name } = await workspace.openParent(place)
      try {
        if (place.stats.isDirectory() && !recursive) await refuseFull(folder, name, place)
        const isFolder = place.stats.isDirectory()
        const removed = await about(place.text, () => removeTree(folder, name, isFolder, signal))
        return resultOf(place, place.stats, removed)
      } finally {
        await folder.close()
      }
    },
  })

function resultOf(place: Place, stats: Stats, removed: number): ToolOutput {
  const path = Workspace.relative(place)
  const kind = kindOf(stats)
  const which = kind === 'file' || kind === 'folder' ? '' : ` (${kindText(stats)})`
  const what = kind === 'folder' ? `the folder ${path} (${removed} entries, itself included)` : `${path}${which}`
  return { output: `Deleted ${what}`, metadata: { path, kind, removed } }
}

/** An empty folder goes without being asked for twice. */
async function refuseFull(parent: Folder, name: string, { text }: Place): Promise<void> {
  const folder = await about(text, () => parent.child(name))
  const names = await readdir(folder.here).finally(() => folder.close())
  if (names.length > 0) {
    throw new ToolError(`${text} is a folder that is not empty: set recursive to delete it with everything in it`)
  }
}

/**
 * Removes a name and everything below it; gives how many entries that were. Folders are gone into by their open handle and never through
 * a link, so nothing outside is touched, also when somebody swaps one meanwhile.
 */
export async function removeTree(
  parent: Folder,
  name: string,
  isFolder: boolean,
  signal: AbortSignal,
  depth = 0,
): Promise<number> {
  signal.throwIfAborted()
  if (!isFolder) {
    await unlink(parent.at(name))
    return 1
  }
  if (depth > DEEPEST) throw new ToolError(`A folder in it is nested deeper than ${DEEPEST} levels`)
  const folder = await parent.child(name)
  let removed = 1
  try {
    const entries: Dirent[] = await readdir(folder.here, { withFileTypes: true })
    for (const entry of entries) removed += await removeTree(folder, entry.name, entry.isDirectory(), signal, depth + 1)
  } finally {
    await folder.close()
  }
  await rmdir(parent.at(name))
  return removed
}
