import type { Dirent } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import type { Folder } from './folder.js'
import type { ToolLimits } from './limits.js'
import { nameText } from './path-text.js'
import { defineTool, type Tool } from './tool.js'
import { about } from './tool-error.js'
import { kindOf, Workspace } from './workspace.js'

type Listing = { readonly entries: readonly Dirent[]; readonly isCut: boolean }

export const lsTool = (limits: ToolLimits): Tool =>
  defineTool({
    name: 'ls',
    description: `Lists one folder of the workspace: folders end in a slash, files have their size in bytes, links are named as such and not followed. At most ${limits.entries} names.`,
    readOnly: true,
    parameters: (z) =>
      z.strictObject({
        path: z
          .string()
          .optional()
          .describe('The folder, from the workspace folder on; the workspace itself by default'),
      }),
    run: async ({ path = '.' }, { workspace, signal }) => {
      const place = await workspace.locate(path)
      const folder = await workspace.openFolder(place)
      try {
        const { entries, isCut } = await about(place.text, () => entriesOf(folder, limits.walkedEntries, signal))
        const shown = entries.slice(0, limits.entries)
        const lines = await Promise.all(shown.map((entry) => lineOf(folder, entry)))
        const rest = entries.length - shown.length
        const note = rest > 0 || isCut ? [`(${isCut ? 'at least ' : ''}${rest} more are not shown)`] : []
        return {
          output: entries.length === 0 ? '(the folder is empty)' : [...lines, ...note].join('\n'),
          metadata: { path: Workspace.relative(place), entries: entries.length, shown: shown.length },
        }
      } finally {
        await folder.close()
      }
    },
  })

async function entriesOf(folder: Folder, most: number, signal: AbortSignal): Promise<Listing> {
  const entries: Dirent[] = []
  let isCut = false
  for await (const entry of await opendir(folder.here)) {
    signal.throwIfAborted()
    isCut = entries.length >= most
    if (isCut) break
    entries.push(entry)
  }
  return { entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)), isCut }
}

async function lineOf(folder: Folder, entry: Dirent): Promise<string> {
  const name = nameText(entry.name)
  const kind = kindOf(entry)
  if (kind === 'folder') return `${name}/`
  if (kind !== 'file') return `${name} (${kind === 'link' ? 'link' : 'special file'})`
  // it may be gone by now
  const size = await lstat(folder.at(entry.name)).then(
    (stats) => `${stats.size} bytes`,
    () => 'gone',
  )
  return `${name} (${size})`
}
