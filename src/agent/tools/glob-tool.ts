import { checkPattern } from './glob-pattern.js'
import type { ToolLimits } from './limits.js'
import { nameText } from './path-text.js'
import { defineTool, type Tool } from './tool.js'
import { ToolError } from './tool-error.js'
import { type Place, Workspace } from './workspace.js'
import { filesOf } from './workspace-files.js'

export const globTool = (limits: ToolLimits): Tool =>
  defineTool({
    name: 'glob',
    description: `Finds files of the workspace by a pattern: * stands for a part of a name, ** for any folders, {a,b} for either. Gives their paths in order, from the workspace folder on. What .gitignore names is left out, and so are .git, node_modules and links. At most ${limits.entries} paths.`,
    readOnly: true,
    parameters: (z) =>
      z.strictObject({
        pattern: z.string().describe("For example '**/*.ts' or 'src/{a,b}/*.md'"),
        path: z
          .string()
          .optional()
          .describe('The folder that the pattern counts from; the workspace itself by default'),
      }),
    run: async ({ pattern, path = '.' }, { workspace, signal }) => {
      checkPattern('pattern', pattern)
      const place = await workspace.locate(path)
      refuseOtherThanFolder(place)
      const { paths, isCut } = await filesOf(workspace, { place, pattern, mostWalked: limits.walkedEntries, signal })
      const shown = paths.slice(0, limits.entries)
      const rest = paths.length - shown.length
      const notes = [
        ...(rest > 0 ? [`(${rest} more are not shown)`] : []),
        ...(isCut ? [`(only the first ${limits.walkedEntries} entries were looked at)`] : []),
      ]
      const lines = shown.length === 0 ? ['(no file matches)'] : shown.map(nameText)
      return {
        output: [...lines, ...notes].join('\n'),
        metadata: { path: Workspace.relative(place), files: paths.length, shown: shown.length, is_cut: isCut },
      }
    },
  })

export function refuseOtherThanFolder({ text, stats }: Place): void {
  if (stats === undefined) throw new ToolError(`${text} does not exist`)
  if (!stats.isDirectory()) throw new ToolError(`${text} is not a folder`)
}
